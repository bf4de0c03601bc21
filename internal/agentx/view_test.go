package agentx

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// small has two columns of two rows, one of which lacks a value, and a scalar.
func small(t *testing.T) *View {
	t.Helper()
	rows := []OID{{1}, {2, 5}}
	v, err := NewView([]Object{
		{Name: OID{1, 3, 2, 2}, Rows: rows, Value: func(i int) Value { return []Value{{}, Integer(22)}[i] }},
		{Name: OID{1, 3, 2, 1}, Rows: rows, Value: func(i int) Value { return Integer(11 + i) }},
		{Name: OID{1, 3, 1}, Rows: []OID{{0}}, Value: func(int) Value { return Text("x") }},
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestNewViewRefuses(t *testing.T) {
	one := func(int) Value { return Integer(1) }
	for _, objects := range [][]Object{
		{{Name: OID{1, 2}, Value: one}, {Name: OID{1, 2}, Value: one}},
		{{Name: OID{1, 2, 3}, Value: one}, {Name: OID{1, 2}, Value: one}},
		{{Name: OID{1, 2}, Rows: []OID{{2}, {1}}, Value: one}},
		{{Name: OID{1, 2}, Rows: []OID{{2}, {2}}, Value: one}},
	} {
		if _, err := NewView(objects); err == nil {
			t.Errorf("%v was taken", objects)
		}
	}
}

func TestAnswer(t *testing.T) {
	v := small(t)
	end := Value{Type: TypeEndOfMIBView}
	for _, tc := range []struct {
		name    string
		request PDU
		want    *PDU
	}{
		{"get", PDU{Header: Header{Type: Get}, Ranges: []Range{{Start: OID{1, 3, 2, 1, 2, 5}}, {Start: OID{1, 3, 2, 2, 1}}, {Start: OID{1, 3, 2, 1, 9}},
			{Start: OID{1, 3, 2}}, {Start: OID{1, 3, 3}}, {Start: OID{1, 3, 2, 1}}, {}}},
			&PDU{Variables: []Variable{
				{OID{1, 3, 2, 1, 2, 5}, Integer(12)}, {OID{1, 3, 2, 2, 1}, Value{Type: TypeNoSuchInstance}}, {OID{1, 3, 2, 1, 9}, Value{Type: TypeNoSuchInstance}},
				{OID{1, 3, 2}, Value{Type: TypeNoSuchObject}}, {OID{1, 3, 3}, Value{Type: TypeNoSuchObject}},
				{OID{1, 3, 2, 1}, Value{Type: TypeNoSuchInstance}}, {nil, Value{Type: TypeNoSuchObject}},
			}}},
		{"next", PDU{Header: Header{Type: GetNext}, Ranges: []Range{
			{}, {Start: OID{1, 3, 1, 0}, Include: true}, {Start: OID{1, 3, 1, 0}}, {Start: OID{1, 3, 2, 1, 1, 7}}, {Start: OID{1, 3, 2, 1, 2, 5}},
			{Start: OID{1, 3, 2, 1, 2, 5}, End: OID{1, 3, 2, 2}}, {Start: OID{1, 3, 2, 1, 2, 5}, End: OID{1, 3, 2, 2, 2, 5}}, {Start: OID{1, 3, 2, 2, 2, 5}}, {Start: OID{2}}}},
			&PDU{Variables: []Variable{
				{OID{1, 3, 1, 0}, Text("x")}, {OID{1, 3, 1, 0}, Text("x")}, {OID{1, 3, 2, 1, 1}, Integer(11)}, {OID{1, 3, 2, 1, 2, 5}, Integer(12)},
				{OID{1, 3, 2, 2, 2, 5}, Integer(22)}, {OID{1, 3, 2, 1, 2, 5}, end}, {OID{1, 3, 2, 1, 2, 5}, end}, {OID{1, 3, 2, 2, 2, 5}, end}, {OID{2}, end},
			}}},
		{"bulk", PDU{Header: Header{Type: GetBulk}, NonRepeaters: 1, MaxRepetitions: 9, Ranges: []Range{{}, {Start: OID{1, 3, 2, 1}}, {Start: OID{1, 3, 2, 2, 2}}}},
			&PDU{Variables: []Variable{
				{OID{1, 3, 1, 0}, Text("x")}, {OID{1, 3, 2, 1, 1}, Integer(11)}, {OID{1, 3, 2, 2, 2, 5}, Integer(22)},
				{OID{1, 3, 2, 1, 2, 5}, Integer(12)}, {OID{1, 3, 2, 2, 2, 5}, end}, {OID{1, 3, 2, 2, 2, 5}, Integer(22)}, {OID{1, 3, 2, 2, 2, 5}, end},
				{OID{1, 3, 2, 2, 2, 5}, end}, {OID{1, 3, 2, 2, 2, 5}, end},
			}}},
		{"bulk of nothing", PDU{Header: Header{Type: GetBulk}, NonRepeaters: 3, MaxRepetitions: 9, Ranges: []Range{{}}},
			&PDU{Variables: []Variable{{OID{1, 3, 1, 0}, Text("x")}}}},
		{"test", PDU{Header: Header{Type: TestSet}, Variables: []Variable{{OID{1, 3, 1, 0}, Text("y")}}}, &PDU{Error: NotWritable, Index: 1}},
		{"commit", PDU{Header: Header{Type: CommitSet}}, &PDU{Error: CommitFailed}},
		{"undo", PDU{Header: Header{Type: UndoSet}}, &PDU{Error: UndoFailed}},
		{"cleanup", PDU{Header: Header{Type: CleanupSet}}, nil},
		{"a response", PDU{Header: Header{Type: Response}}, nil},
		{"what is not for us", PDU{Header: Header{Type: Register}}, &PDU{Error: ParseError}},
	} {
		tc.request.Flags, tc.request.Session, tc.request.Packet, tc.request.Transaction = NetworkByteOrder|NonDefaultContext, 1, 2, 3
		if tc.want != nil {
			tc.want.Header = Header{Type: Response, Flags: NetworkByteOrder, Session: 1, Packet: 2, Transaction: 3}
		}
		if diff := cmp.Diff(tc.want, v.Answer(&tc.request)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestBulkIsBounded(t *testing.T) {
	rows := make([]OID, 1<<16)
	for i := range rows {
		rows[i] = OID{uint32(i)}
	}
	v, err := NewView([]Object{{Name: OID{1, 3}, Rows: rows, Value: Integer}})
	if err != nil {
		t.Fatal(err)
	}
	a := v.Answer(&PDU{Header: Header{Type: GetBulk}, MaxRepetitions: 65535, Ranges: []Range{{}}})
	if n := len(a.Variables); n < 1000 || n > 5000 {
		t.Errorf("an answer of %d variables", n)
	}
}

// TestWalk: whatever the objects are, a walk by GetNext and one by GetBulk meet every
// variable in the order of the names, each is what Get returns, and a search from any
// name finds the first after it.
func TestWalk(t *testing.T) {
	name := rapid.SliceOfN(rapid.Uint32Range(0, 3), 1, 4)
	rapid.Check(t, func(t *rapid.T) {
		var objects []Object
		var all []Variable
		for _, n := range rapid.SliceOfN(name, 0, 6).Draw(t, "names") {
			n := OID(n)
			if slices.ContainsFunc(objects, func(o Object) bool { return o.Name.Under(n) || n.Under(o.Name) }) {
				continue
			}
			rows := rapid.SliceOfNDistinct(name, 0, 6, func(o []uint32) string { return OID(o).String() }).Draw(t, "rows")
			o := Object{Name: n}
			for _, r := range rows {
				o.Rows = append(o.Rows, r)
			}
			slices.SortFunc(o.Rows, OID.Compare)
			there := make([]bool, len(rows))
			for i := range there {
				if there[i] = rapid.IntRange(0, 3).Draw(t, "there") > 0; there[i] {
					all = append(all, Variable{n.Append(o.Rows[i]...), Integer(i)})
				}
			}
			o.Value = func(i int) Value {
				if !there[i] {
					return Value{}
				}
				return Integer(i)
			}
			objects = append(objects, o)
		}
		v, err := NewView(objects)
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(all, func(a, b Variable) int { return a.Name.Compare(b.Name) })

		var walked []Variable
		for at := (Variable{}); ; walked = append(walked, at) {
			if at = v.Next(Range{Start: at.Name}); at.Value.Type == TypeEndOfMIBView {
				break
			}
			if got := v.Get(at.Name); !cmp.Equal(got, at.Value) {
				t.Fatalf("Get of %v is %v, Next found %v", at.Name, got, at.Value)
			}
		}
		if diff := cmp.Diff(all, walked); diff != "" {
			t.Fatalf("walked (-all +walked):\n%s", diff)
		}
		bulk := v.Answer(&PDU{Header: Header{Type: GetBulk}, MaxRepetitions: 1000, Ranges: []Range{{}}}).Variables
		if n := len(bulk); n == 0 || bulk[n-1].Value.Type != TypeEndOfMIBView || cmp.Diff(all, bulk[:n-1:n-1], cmpopts.EquateEmpty()) != "" {
			t.Fatalf("GetBulk found %v of %v", bulk, all)
		}

		start, end, include := OID(name.Draw(t, "start")), OID(name.Draw(t, "end")), rapid.Bool().Draw(t, "include")
		want := Variable{start, Value{Type: TypeEndOfMIBView}}
		for _, o := range all {
			if c := o.Name.Compare(start); (c > 0 || c == 0 && include) && o.Name.Compare(end) < 0 {
				want = o
				break
			}
		}
		if diff := cmp.Diff(want, v.Next(Range{start, include, end})); diff != "" {
			t.Fatalf("Next of %v (%v) before %v (-want +got):\n%s", start, include, end, diff)
		}
	})
}
