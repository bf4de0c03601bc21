package watchdog

import (
	"context"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

// routers is a configuration with an IPv4 router of this VRID under each name.
func routers(vrids map[string]uint8) *config.Config {
	c := conf(strings.Join(slices.Sorted(maps.Keys(vrids)), " "), "")
	for i := range c.Instances {
		in := &c.Instances[i]
		in.Interface, in.VRID = "eth0", vrids[in.Name]
		in.Addresses = []config.VirtualAddress{{Prefix: netip.MustParsePrefix("192.0.2.10/32")}}
	}
	return c
}

// release has a router released.
func (d *daemon) release(name string) {
	d.t.Helper()
	if _, err := d.client().Order(d.t.Context(), control.Order{Verb: control.VerbRelease, Instances: []string{name}}); err != nil {
		d.t.Fatal(err)
	}
}

// released checks for what instances an order is written down.
func (d *daemon) released(want ...string) {
	d.t.Helper()
	kept, err := readStanding(filepath.Join(d.dir, "run"))
	if got := slices.Sorted(maps.Keys(kept)); err != nil || !slices.Equal(got, want) {
		d.t.Errorf("written down for %v (%v), want %v", got, err, want)
	}
}

// heard checks what the VRRP child was told after the first configuration, in order.
func (d *daemon) heard(want ...string) {
	d.t.Helper()
	var got []string
	all := func() bool {
		got = nil
		for line := range strings.Lines(d.log()) {
			what, mine := strings.CutPrefix(strings.TrimSpace(line), "vrrp ")
			if mine && (strings.HasPrefix(what, "standing") || strings.HasPrefix(what, "configure")) {
				got = append(got, what)
			}
		}
		return len(got) > len(want)
	}
	d.eventually("what the child is told", all)
	if got = got[1:]; !slices.Equal(got, want) {
		d.t.Errorf("the child was told %q, want %q", got, want)
	}
}

// releasedWeb is a daemon with a router that is released.
func releasedWeb(t *testing.T) *daemon {
	t.Helper()
	d := prepare(t)
	d.configure(routers(map[string]uint8{"web": 51}))
	d.start()
	d.says("director is ready")
	d.release("web")
	return d
}

// A router that gets another name stays released all the time.
func TestOrdersGoWithANewName(t *testing.T) {
	d := releasedWeb(t)
	d.configure(routers(map[string]uint8{"site": 51, "db": 52}))
	if r := d.reload(); !r.OK {
		t.Fatalf("%+v", r)
	}
	d.heard("standing [web]", "standing [site web]", "configure 2", "standing [site]")
	d.released("site")
	d.says("the virtual router is called site now, and the order stands for that")
}

func TestOrdersOfARefusedName(t *testing.T) {
	d := releasedWeb(t)
	d.configure(routers(map[string]uint8{"site": 51, "refuse": 52}))
	if r := d.reload(); r.OK {
		t.Fatalf("%+v", r)
	}
	d.heard("standing [web]", "standing [site web]", "configure 2", "standing [web]")
	d.released("web")
	if events, err := d.client().Events(t.Context(), control.EventQuery{}); err != nil || strings.Contains(events[len(events)-1].Subject, "site") {
		t.Errorf("%+v, %v", events, err)
	}
}

// Another router under a new name is not the one that was released.
func TestOrdersEndWithTheRouter(t *testing.T) {
	d := releasedWeb(t)
	d.configure(routers(map[string]uint8{"site": 53}))
	if r := d.reload(); !r.OK {
		t.Fatalf("%+v", r)
	}
	d.heard("standing [web]", "configure 2", "standing []")
	d.released()
}

// What is on trial ends no order, on the disk neither: it may be undone.
func TestOrdersOutliveATrial(t *testing.T) {
	for _, tc := range []struct {
		name  string
		next  map[string]uint8
		end   func(*control.Client, context.Context, control.Asker) (control.ApplyResult, error)
		trial []string // written down meanwhile
		heard []string // from the trial on
		after []string
	}{
		{"undone without it", map[string]uint8{"db": 52}, (*control.Client).Undo, []string{"web"},
			[]string{"configure 2", "configure 3 back"}, []string{"web"}},
		{"undone with another name", map[string]uint8{"site": 51}, (*control.Client).Undo, []string{"site", "web"},
			[]string{"standing [site web]", "configure 2", "configure 3 back", "standing [web]"}, []string{"web"}},
		{"confirmed without it", map[string]uint8{"db": 52}, (*control.Client).Confirm, []string{"web"},
			[]string{"configure 2", "standing []"}, nil},
		{"confirmed with another name", map[string]uint8{"site": 51}, (*control.Client).Confirm, []string{"site", "web"},
			[]string{"standing [site web]", "configure 2", "standing [site]"}, []string{"site"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := releasedWeb(t)
			d.other("next", routers(tc.next))
			if r := d.apply("next", time.Hour); !r.OK {
				t.Fatalf("%+v", r)
			}
			d.released(tc.trial...)
			if r := d.end(tc.end); !r.OK {
				t.Fatalf("%+v", r)
			}
			d.heard(append([]string{"standing [web]"}, tc.heard...)...)
			d.released(tc.after...)
		})
	}
}
