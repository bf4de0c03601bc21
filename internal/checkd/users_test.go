package checkd

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"director/checkers"
	"director/checkers/probe"
	"director/config"
	"director/internal/control"

	"pgregory.net/rapid"
)

// However users come and go, the list has those that are there, each once.
func TestUsersComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var l users
		there := map[*checkers.Check]bool{}
		checks := make([]*checkers.Check, 40)
		for i := range checks {
			checks[i] = &checkers.Check{}
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			c := rapid.SampledFrom(checks).Draw(t, "check")
			if there[c] {
				l.remove(c)
				delete(there, c)
			} else {
				l.add(user{check: c})
				there[c] = true
			}
			if len(l.list) != len(there) {
				t.Fatalf("%d users, want %d", len(l.list), len(there))
			}
			seen := map[*checkers.Check]bool{}
			for _, u := range l.list {
				if !there[u.check] || seen[u.check] {
					t.Fatalf("a stranger or a twin in the list")
				}
				seen[u.check] = true
			}
		}
	})
}

// One check for 20,000 servers (of the machine that all depend on, say): they come, are planned
// for, are all ordered about and go in a time that grows with their number alone.
func TestManyServersOfOneCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := bigConfig(1000, 5*time.Second)
		for i := range cfg.VirtualServers {
			for j := range cfg.VirtualServers[i].RealServers {
				c := &cfg.VirtualServers[i].RealServers[j].Checks[0]
				c.ConnectAddress, c.ConnectPort = netip.MustParseAddr("10.99.0.1"), 80
			}
		}
		w := newWorld(t, "")
		w.ask = func(context.Context, Query, *Plan) probe.Result { return healthy }
		w.run()
		w.configure(cfg)
		w.pass(time.Minute)
		if n := len(w.daemon.schedule.tasks); n != 1 {
			t.Fatalf("%d tasks", n)
		}
		began := used()
		w.plan(cfg)
		if r, err := w.order(control.Order{Verb: control.VerbShow, Servers: []string{"all"}, Author: "root"}); err != nil || len(r.Servers) != 20_000 {
			t.Errorf("%d servers, %v", len(r.Servers), err)
		}
		w.configure(&config.Config{})
		took := time.Duration(used() - began)
		t.Logf("%v of processor time", took)
		if took > 4*time.Second {
			t.Errorf("took %v of processor time", took)
		}
		w.kill()
	})
}
