package watchdog

import (
	"strings"
	"testing"

	"director/internal/control"
)

// An order goes to the checker child, and its answer back; one that cannot be answered
// any more is answered all the same.
func TestOrdersAreRelayed(t *testing.T) {
	p, vrrp, checkers, child, _ := halfParent(t, conf("web", "a"))
	vrrp.ch, checkers.ch = nil, vrrp.ch // the half that is listened to is the checkers'
	var got []orderReply
	order := func(server string) {
		p.order(control.Order{Verb: control.VerbDrain, Servers: []string{server}}, func(r orderReply) { got = append(got, r) })
	}
	read := func(server string) uint64 {
		t.Helper()
		m, err := child.Recv()
		if err != nil || m.Order == nil || m.Order.Servers[0] != server {
			t.Fatalf("the child got %+v, %v", m, err)
		}
		return m.Order.ID
	}
	c := p.children[RoleCheckers]
	order("x")
	order("y")
	x, y := read("x"), read("y")
	p.message(c, checkers, Message{Ordered: &Ordered{ID: y, Error: "there is no y"}}, 0)
	p.message(c, checkers, Message{Ordered: &Ordered{ID: x, Result: control.OrderResult{Notes: []string{"well"}}}}, 0)
	p.message(c, checkers, Message{Ordered: &Ordered{ID: x}}, 0) // nobody waits for it any more
	if len(got) != 2 || got[0].err == nil || got[0].err.Error() != "there is no y" || got[1].err != nil || got[1].result.Notes[0] != "well" {
		t.Fatalf("answers %+v", got)
	}

	got = nil
	order("z")
	read("z")
	p.gone(p.children[RoleVRRP], vrrp) // is not asked
	if len(got) != 0 {
		t.Fatalf("answers %+v", got)
	}
	checkers.exit = "signal: killed"
	p.phase = stopping // nobody is started
	p.gone(c, checkers)
	if len(got) != 1 || got[0].err == nil || !strings.Contains(got[0].err.Error(), "ended before it answered") {
		t.Fatalf("answers %+v", got)
	}
	p.phase = running
	for _, state := range []string{"dead", "starting", "not needed"} {
		got = nil
		switch state {
		case "starting":
			c.run = &process{}
		case "not needed":
			c.run, c.want = nil, nil
		}
		order("z")
		if len(got) != 1 || got[0].err == nil {
			t.Errorf("%s: answers %+v", state, got)
		}
	}
	if len(p.orders) != 0 {
		t.Errorf("%d orders are open", len(p.orders))
	}
}
