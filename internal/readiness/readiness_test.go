package readiness

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var key = []byte("0123456789abcdef0123456789abcdef")

// names makes names that are told apart by who made them and when.
func names(who string) func() string {
	n := 0
	return func() string { n++; return fmt.Sprintf("%s%d", who, n) }
}

func newLink(who string) *Link { return NewLink(key, names(who), time.Second) }

var start = time.Unix(1000, 0)

// exchange sends from a to b and wants a result.
func exchange(t *testing.T, a, b *Link, id string, taken bool) []byte {
	t.Helper()
	data := a.Seal(Report{RouterID: id})
	got, err := b.Open(start, data)
	if got != taken || err != nil {
		t.Fatalf("report %s: taken %v, error %v", id, got, err)
	}
	return data
}

func TestLink(t *testing.T) {
	a, b := newLink("a"), newLink("b")
	first := exchange(t, a, b, "knock", false) // made before a knew of b
	if r, _ := b.Peer(start); r != nil {
		t.Error("a first knock brought a report")
	}
	exchange(t, b, a, "one", true) // it repeats a's name
	second := exchange(t, a, b, "two", true)
	third := exchange(t, a, b, "three", true)
	for what, data := range map[string][]byte{"the newest": third, "an older one": second} {
		if _, err := b.Open(start, data); !errors.Is(err, ErrReplay) {
			t.Errorf("%s again: %v", what, err)
		}
	}
	if _, err := b.Open(start, first); !errors.Is(err, ErrReplay) {
		t.Errorf("the knock again: %v", err)
	}
	if _, err := a.Open(start, third); !errors.Is(err, ErrOwn) {
		t.Errorf("a reflection: %v", err)
	}
	if r, heard := b.Peer(start.Add(5 * time.Second)); r == nil || r.RouterID != "three" || !heard.Equal(start) {
		t.Errorf("report %+v", r)
	}
	if r, _ := b.Peer(start.Add(5*time.Second + 1)); r != nil {
		t.Error("a report of a silent peer holds")
	}

	// A new life of a: its knock is proven by the next exchange, and what the old one
	// said is void for ever.
	recorded := a.Seal(Report{RouterID: "recorded"})
	a = NewLink(key, names("again"), time.Second)
	exchange(t, a, b, "knock", false)
	if r, _ := b.Peer(start); r.RouterID != "three" {
		t.Error("a knock brought a report")
	}
	exchange(t, b, a, "four", true)
	exchange(t, a, b, "five", true)
	if _, err := b.Open(start, recorded); !errors.Is(err, ErrReplay) {
		t.Errorf("a report of a former life: %v", err)
	}
	// A new life of b: nothing that was made for the old one is taken.
	old := a.Seal(Report{RouterID: "old"})
	b = NewLink(key, names("bb"), time.Second)
	if taken, err := b.Open(start, old); taken || err != nil {
		t.Errorf("a report for a former life: %v %v", taken, err)
	}
	if taken, err := b.Open(start, old); taken || err != nil {
		t.Errorf("and again: %v %v", taken, err)
	}
	exchange(t, b, a, "six", true) // it has a's name by now
	exchange(t, a, b, "seven", true)
	exchange(t, b, a, "eight", true)
}

// A knock of a recorded former life does not keep the living peer from being heard.
func TestKnocks(t *testing.T) {
	a, b, ghost := newLink("a"), newLink("b"), newLink("ghost")
	exchange(t, a, b, "", false)
	exchange(t, b, a, "", true)
	exchange(t, a, b, "", true)
	for range 3 {
		exchange(t, ghost, b, "", false)
		exchange(t, b, a, "", true)
		exchange(t, a, b, "", true)
	}
	// Many lives: this end begins a new one itself, and goes on.
	for n := range maxRetired + 2 {
		a = NewLink(key, names(fmt.Sprint("life", n, "-")), time.Second)
		for range 3 {
			a.Open(start, b.Seal(Report{}))
			b.Open(start, a.Seal(Report{RouterID: fmt.Sprint(n)}))
		}
		if r, _ := b.Peer(start); r == nil || r.RouterID != fmt.Sprint(n) {
			t.Fatalf("life %d: %+v", n, r)
		}
	}
	if len(b.retired) > maxRetired {
		t.Errorf("%d lives remembered", len(b.retired))
	}
}

func TestForgeries(t *testing.T) {
	a, b := newLink("a"), newLink("b")
	good := a.Seal(Report{RouterID: "x"})
	for what, data := range map[string][]byte{"nothing": nil, "noise": []byte("hello"), "the magic alone": []byte(magic), "too long": append(bytes.Clone(good), make([]byte, MaxDatagram)...)} {
		if _, err := b.Open(start, data); !errors.Is(err, ErrForm) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if taken, err := b.Open(start, bad); taken || err == nil {
			t.Fatalf("byte %d changed: taken %v, %v", i, taken, err)
		}
	}
	if _, err := NewLink([]byte("another key of sixteen"), names("c"), time.Second).Open(start, good); !errors.Is(err, ErrKey) {
		t.Errorf("another key: %v", err)
	}
	text := []byte(`{"number":1}`)
	if _, err := b.Open(start, append(b.sign(text), text...)); !errors.Is(err, ErrForm) {
		t.Errorf("no name: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte(`{"from":"a1","number":1,"echo":["b1"],"report":{"pools":1}}`))
	f.Add(newLink("a").Seal(Report{RouterID: "x", Down: []string{"web"}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := newLink("b")
		b.Open(start, data)
		b.Open(start, append(b.sign(data), data...)) // as the holder of the key might
		b.Seal(Report{})
	})
}

func TestJudge(t *testing.T) {
	digests := map[string]string{Services: "1", "vrrp_instance": "2"}
	own := Facts{RouterID: "lb1", Digests: digests, Pools: map[string]string{"web": "up", "db": "down", "dns": "sorry", "new": "unknown", "mail": "down"}}
	peer := func(change func(*Report)) *Report {
		r := &Report{RouterID: "lb2", Digests: digests, Pools: 5, Down: []string{"mail"}}
		change(r)
		return r
	}
	for name, c := range map[string]struct {
		broken []string
		peer   *Report
		want   []string
	}{
		"alone":           {nil, nil, nil},
		"alone, broken":   {[]string{"no ip_vs"}, nil, []string{"no ip_vs"}},
		"peer has db":     {nil, peer(func(*Report) {}), []string{"virtual_server db, dns without quorum here and up on lb2"}},
		"both lost it":    {nil, peer(func(r *Report) { r.Down = []string{"db", "dns", "mail"} }), nil},
		"other farm":      {nil, peer(func(r *Report) { r.Digests = map[string]string{Services: "9"} }), nil},
		"list is cut":     {nil, peer(func(r *Report) { r.Cut = true }), nil},
		"broken and lost": {[]string{"x"}, peer(func(r *Report) { r.Down = nil }), []string{"x", "virtual_server db, dns, mail without quorum here and up on lb2"}},
	} {
		f := own
		f.Broken = c.broken
		if diff := cmp.Diff(c.want, f.Judge(c.peer)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := own.Differs(peer(func(r *Report) { r.Digests = map[string]string{Services: "1"} })); fmt.Sprint(got) != "[vrrp_instance]" {
		t.Errorf("differs in %v", got)
	}
}

// The greatest report fits into a datagram.
func TestReportIsBounded(t *testing.T) {
	f := Facts{RouterID: strings.Repeat("é", 300), Digests: map[string]string{"a": "0123456789abcdef", "b": "0123456789abcdef", "c": "0123456789abcdef"}, Pools: map[string]string{}}
	for i := range 5000 {
		f.Pools[fmt.Sprintf("%04d%s", i, strings.Repeat("<", 200))] = "down"
		f.Broken = append(f.Broken, strings.Repeat("\x01", 500))
	}
	r := f.Report()
	if !r.Cut || len(r.Down) != maxNames || r.Pools != 5000 {
		t.Errorf("%d of %d named, cut %v", len(r.Down), r.Pools, r.Cut)
	}
	l := newLink("a")
	l.peer, l.knocks = strings.Repeat("x", 26), strings.Repeat("y", 26)
	if n := len(l.Seal(r)); n > MaxDatagram {
		t.Errorf("%d bytes", n)
	}
}
