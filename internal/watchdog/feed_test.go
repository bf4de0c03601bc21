package watchdog

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/control"
)

// fill sets everything in a value to something: numbers and texts other than the zero
// value, lists of so many elements.
func fill(v reflect.Value, elements int) {
	switch value := v.Addr().Interface().(type) {
	case *time.Time:
		*value = time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
		return
	case *netip.Addr:
		*value = netip.MustParseAddr("2001:db8::1")
		return
	case *netip.Prefix:
		*value = netip.MustParsePrefix("192.0.2.0/24")
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(-7)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), elements)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), elements, elements))
		for i := range elements {
			fill(v.Index(i), elements)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range elements {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(key, elements)
			fill(value, elements)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), elements)
		}
	default:
		panic(v.Type().String() + " is not known to the test")
	}
}

// TestFeedIsWhole: what the web process reads is what it was told, and in JSON an empty
// list stays a list.
func TestFeedIsWhole(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan int, 10)
	f := newFeeder(w, &Settings{}, feedPatience, func(n int) { taken <- n }, func(error) {})
	defer f.close()
	feed, err := NewFeed(r)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := feed.Next(); err != nil || n.Settings == nil {
		t.Fatalf("the first news: %+v, %v", n, err)
	}
	pass := func(s *control.Status, e control.Event) (told, read string) {
		t.Helper()
		f.add(func(n *News) { n.Status, n.Events = s, []control.Event{e} })
		n, err := feed.Next()
		if err != nil {
			t.Fatal(err)
		}
		var texts [2]string
		for i, v := range []News{{Status: s, Events: []control.Event{e}}, n} {
			text, err := json.MarshalIndent(v, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			texts[i] = string(text)
		}
		return texts[0], texts[1]
	}
	for _, elements := range []int{2, 1, 0} {
		var s control.Status
		var e control.Event
		fill(reflect.ValueOf(&s).Elem(), elements)
		fill(reflect.ValueOf(&e).Elem(), 2)
		told, read := pass(&s, e)
		if diff := cmp.Diff(told, read); diff != "" {
			t.Errorf("lists of %d (-told +read):\n%s", elements, diff)
		}
	}
	// Lists that are empty inside of others that are not.
	none := []control.CheckStatus{}
	inner := &control.Status{
		Processes: []control.Process{},
		VRRP: &control.VRRP{
			Instances: []control.Instance{{Addresses: []control.Address{}}}, Scripts: []control.Script{},
			Groups: []control.Group{{Members: []string{}}}, Alarms: []control.Alarm{{Evidence: []control.Evidence{}}},
		},
		Checkers: &control.Checkers{
			Services: []control.Service{{Servers: []control.Server{}}, {Servers: []control.Server{{Checks: none}}, SorryServers: []control.Server{{Checks: none}}}},
			Sync:     &control.IPVSSync{Daemons: []control.SyncDaemon{}},
		},
	}
	if told, read := pass(inner, control.Event{}); told != read {
		t.Errorf("empty lists (-told +read):\n%s", cmp.Diff(told, read))
	}
	// What follows is not mixed with what was before.
	told, read := pass(&control.Status{Version: "x", Processes: []control.Process{}}, control.Event{Seq: 9})
	if diff := cmp.Diff(told, read); diff != "" {
		t.Errorf("a small state after a full one (-told +read):\n%s", diff)
	}
}
