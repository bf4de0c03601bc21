package watchdog

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/control"
)

// Orders for virtual routers are written down, told to the child, and answered when it
// has them in force.
func TestStandingOrders(t *testing.T) {
	c := conf("web db owner", "")
	c.Instances[2].Priority = 255
	c.Groups = []config.SyncGroup{{Name: "all", Members: []string{"web", "db"}}}
	p, run, _, child, _ := halfParent(t, c)
	p.o.StateDir = t.TempDir()
	var got []orderReply
	order := func(verb string, names ...string) {
		p.order(control.Order{Verb: verb, Instances: names, Author: "root", Reason: "why"}, func(r orderReply) { got = append(got, r) })
	}
	told := func(want ...string) {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Standing == nil || len(m.Standing.Orders) != len(want) {
			t.Fatalf("the child got %+v, %v", m, err)
		}
		for _, name := range want {
			if _, ok := m.Standing.Orders[name]; !ok {
				t.Errorf("the child was not told of %s: %+v", name, m.Standing.Orders)
			}
		}
		if m.Standing.ID != 0 {
			p.message(p.children[RoleVRRP], run, Message{Ordered: &Ordered{ID: m.Standing.ID}}, 0)
		}
	}
	order(control.VerbRelease, "web") // with it goes the group
	if len(got) != 0 {
		t.Errorf("answered before the child did: %+v", got)
	}
	told("web", "db")
	if len(got) != 1 || got[0].err != nil || len(got[0].result.Instances) != 2 || got[0].result.Instances[0].Was != control.VerbAuto {
		t.Fatalf("answers %+v", got)
	}
	if kept, err := readStanding(p.o.StateDir); err != nil || len(kept) != 2 || kept["db"].Order != control.VerbRelease || kept["db"].Reason != "why" {
		t.Errorf("written down: %+v, %v", kept, err)
	}

	// What is refused changes nothing.
	for _, tc := range []struct{ verb, name, want string }{
		{control.VerbPrefer, "wbe", `there is no virtual router "wbe": there is web, db, owner`},
		{control.VerbPrefer, "owner", "owner has priority 255"},
		{control.VerbDrain, "web", `"drain" is no order for virtual routers`},
	} {
		got = nil
		order(tc.verb, tc.name)
		if len(got) != 1 || got[0].err == nil || !strings.Contains(got[0].err.Error(), tc.want) {
			t.Errorf("%s %s: %+v", tc.verb, tc.name, got)
		}
	}

	// A configuration without an instance ends what was ordered for it.
	c.Groups = nil
	c.Instances = c.Instances[1:]
	p.forgetOrders(nil)
	told("db")
	order(control.VerbAuto, "db")
	told()
	if _, err := os.Stat(filepath.Join(p.o.StateDir, standingName)); !os.IsNotExist(err) {
		t.Errorf("the record stays: %v", err)
	}
}

// A record that is cut off or of another version is told and not believed.
func TestStandingRecord(t *testing.T) {
	for name, text := range map[string]string{
		"cut off": `{"version":1,"orders":{"web":{"ord`, "another version": `{"version":2}`,
		"unknown order": `{"version":1,"orders":{"web":{"order":"drain","author":"root","since":"2026-11-21T00:00:00Z"}}}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, standingName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if orders, err := readStanding(dir); err == nil || len(orders) != 0 {
			t.Errorf("%s: %+v, %v", name, orders, err)
		}
	}
}

// An order ends at its time, also when that came while the daemon was down.
func TestStandingOrdersEnd(t *testing.T) {
	dir := t.TempDir()
	if err := writeStanding(dir, map[string]control.Override{
		"web": {Order: control.VerbRelease, Until: time.Now().Add(-time.Minute)},
		"db":  {Order: control.VerbPrefer, Until: time.Now().Add(50 * time.Millisecond)},
		"lan": {Order: control.VerbPrefer},
	}); err != nil {
		t.Fatal(err)
	}
	p, _, _, _, done := halfParent(t, conf("web db lan", ""))
	p.o.StateDir = dir
	p.recallOrders()
	done()
	done()
	kept, err := readStanding(dir)
	if err != nil || len(kept) != 1 || kept["lan"].Order != control.VerbPrefer || len(p.standing) != 1 {
		t.Errorf("kept %+v, %v; in force %+v", kept, err, p.standing)
	}
}

// A host may learn the time only after the daemon has begun to wait: the clock is looked at before the end that was calculated.
func TestStandingOrdersBearAClockThatIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parent{work: make(chan func()), over: make(chan struct{}), standing: map[string]control.Override{
			"web": {Order: control.VerbRelease, Until: time.Now().Add(50 * 365 * 24 * time.Hour)}}}
		begun := time.Now()
		p.expireLater()
		for n := range 3 {
			(<-p.work)()
			if took, want := time.Since(begun), time.Duration(n+1)*clockLook; took != want || len(p.standing) != 1 {
				t.Errorf("look %d after %v, want %v; in force %+v", n+1, took, want, p.standing)
			}
		}
		p.expiry.Stop()
	})
}
