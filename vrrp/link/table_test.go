package link

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// Who appends to the addresses of an event does not write into the monitor's.
func TestEventsAreIndependent(t *testing.T) {
	tb := newTable()
	own := netip.MustParsePrefix("192.0.2.1/32")
	var longer [][]netip.Prefix
	var events []Event
	emit := func(e Event) { events = append(events, e) }
	tb.changeLink(Interface{Index: 1, Name: "eth0"}, emit)
	for i := range byte(5) {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, i}), 32)
		tb.changeAddress(1, addrEntry{prefix: p}, emit)
		longer = append(longer, append(events[len(events)-1].Interface.Addrs, own))
	}
	for i, l := range longer {
		if l[len(l)-1] != own {
			t.Errorf("the monitor wrote into a reader's slice: %d, %v", i, l)
		}
	}
	for i, e := range events {
		if len(e.Interface.Addrs) != i {
			t.Errorf("event %d has %v", i, e.Interface.Addrs)
		}
		for j, p := range e.Interface.Addrs {
			if p.Addr() != netip.AddrFrom4([4]byte{10, 0, 0, byte(j)}) {
				t.Errorf("event %d has %v", i, e.Interface.Addrs)
			}
		}
	}
}

// Whatever the table and the listing hold, the events of replace lead a reader
// from the one to the other, and say each thing once.
func TestReplaceEmitsTheDifference(t *testing.T) {
	random := rapid.Custom(func(t *rapid.T) table {
		tb := newTable()
		for _, index := range rapid.SliceOfNDistinct(rapid.IntRange(1, 4), 0, 4, rapid.ID).Draw(t, "links") {
			tb.setLink(Interface{
				Index: index,
				Name:  rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "name"),
				Up:    rapid.Bool().Draw(t, "up"),
			})
			for _, last := range rapid.SliceOfNDistinct(rapid.ByteRange(1, 6), 0, 6, rapid.ID).Draw(t, "addresses") {
				tb.addAddress(index, addrEntry{
					prefix:    netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 24),
					secondary: rapid.Bool().Draw(t, "secondary"),
				})
			}
		}
		return tb
	})
	rapid.Check(t, func(t *rapid.T) {
		have, listed := random.Draw(t, "have"), random.Draw(t, "listed")
		want := map[int]Interface{}
		reader := newPicture()
		for _, l := range have.links {
			reader.apply(l.event(LinkChanged, netip.Prefix{}))
		}
		for i, l := range listed.links {
			want[i] = l.event(LinkChanged, netip.Prefix{}).Interface
		}
		have.replace(listed, reader.apply)
		if len(reader.wrong) > 0 {
			t.Fatalf("events that do not fit: %v", reader.wrong)
		}
		compare := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
		if diff := cmp.Diff(want, reader.links, compare, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the reader's picture differs:\n%s", diff)
		}
		have.replace(listed, func(e Event) { t.Fatalf("the same listing again: %v", e) })
	})
}

func TestNames(t *testing.T) {
	for k := LinkChanged; k <= Synced; k++ {
		if strings.HasPrefix(k.String(), "EventKind") {
			t.Errorf("event kind %d has no name", k)
		}
	}
	for o := Add; o <= Announce; o++ {
		if strings.HasPrefix(o.String(), "Op") {
			t.Errorf("operation %d has no name", o)
		}
	}
	if EventKind(99).String() != "EventKind(99)" || Op(99).String() != "Op(99)" {
		t.Error("unknown values are not shown as such")
	}
}
