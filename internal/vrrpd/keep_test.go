package vrrpd

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/vrrp/link"
)

func routeTo(to string) config.Route {
	return config.Route{
		To: netip.MustParsePrefix(to), Type: "unicast", Table: "main", Scope: "global", Insert: "prepend", Protocol: 112,
		Via: netip.MustParseAddr("192.0.2.254"), Device: "eth0",
	}
}

func ruleFrom(from string) config.Rule {
	return config.Rule{
		Family: "inet", Priority: 100, From: netip.MustParsePrefix(from), Action: "table", Table: "100", Protocol: 112,
		SuppressPrefixLength: -1, SuppressIfGroup: -1,
	}
}

const (
	aRoute = "route 203.0.113.0/24 via 192.0.2.254 dev eth0"
	aRule  = "rule 100: from 192.0.2.10/32 lookup 100"
)

// gateway is an instance with a route and a rule.
func gateway(prio uint8) config.Instance {
	c := instance("web", 51, prio, "192.0.2.10/32")
	c.Routes, c.Rules = []config.Route{routeTo("203.0.113.0/24")}, []config.Rule{ruleFrom("192.0.2.10/32")}
	return c
}

// goes is somebody else's removal of a route or rule.
func (w *world) goes(key link.Key, what string) {
	delete(w.kernel, what)
	w.e.routeEvent(w.now, link.RouteEvent{Key: key})
	w.e.flush(w.now)
}

func (w *world) whole(c *config.Config) {
	w.t.Helper()
	if err := w.e.configure(w.now, &watchdog.Configure{Generation: w.e.generation + 1, Config: c}); err != nil {
		w.t.Fatal(err)
	}
	w.settle()
}

// Routes come after the addresses and before the announcements, and go first.
func TestOrderOfRoutesAndRules(t *testing.T) {
	w := newWorld(t)
	w.configure(nil, gateway(255))
	w.want("advert 255 from 192.0.2.1", "add 192.0.2.10/32", "add "+aRoute, "add "+aRule, "announce 192.0.2.10/32",
		"web INIT->MASTER (owner)")
	i := w.router("web")
	if len(i.Addresses) != 1 || len(i.Routes) != 1 || !i.Routes[0].Installed || i.Routes[0].What != aRoute || len(i.Rules) != 1 || !i.Rules[0].Installed {
		t.Errorf("status %+v %+v", i.Routes, i.Rules)
	}
	w.e.stop(w.now)
	w.settle()
	w.want("advert 0 from 192.0.2.1", "remove "+aRule, "remove "+aRoute, "remove 192.0.2.10/32", "web MASTER->STOP (stopped)")
}

// What somebody else removes is put back and counted; a contest slows down.
func TestRemovedRouteComesBack(t *testing.T) {
	w := newWorld(t)
	c := gateway(255)
	w.configure(nil, c)
	w.take()
	key := route(&c.Routes[0]).Key()
	w.goes(key, aRoute)
	w.settle()
	w.want("add "+aRoute, "web/"+aRoute+" absent->present (repaired)")
	w.goes(rule(&c.Rules[0]).Key(), aRule)
	w.settle()
	w.want("add "+aRule, "web/"+aRule+" absent->present (repaired)")
	if n := w.e.snapshot().Repairs; n != 2 {
		t.Errorf("%d repairs, want 2", n)
	}
	// Another route in the same place went: ours is there, and nothing is counted.
	for range 10 {
		w.e.routeEvent(w.now, link.RouteEvent{Key: key})
		w.settle()
	}
	if v := w.e.snapshot(); v.Repairs != 2 || len(v.Failures) != 0 {
		t.Errorf("%d repairs, failures %+v", v.Repairs, v.Failures)
	}
	added := 0
	for end := w.now.Add(time.Minute); w.now.Before(end); w.pass(10 * time.Millisecond) {
		if w.kernel[aRoute] {
			added++
			w.goes(key, aRoute)
			w.settle()
		}
	}
	if added > 10 {
		t.Errorf("put back %d times within a minute", added)
	}
	if f := w.e.snapshot().Failures; len(f) != 1 || f[0].What != "add "+aRoute {
		t.Errorf("failures %+v", f)
	}
}

// A BACKUP has none of it, and no_track lets others remove it.
func TestUntrackedRouteStaysAway(t *testing.T) {
	w := newWorld(t)
	c := gateway(255)
	c.Routes[0].NoTrack = true
	c.Routes[0].Device = "eth9" // nor is its interface asked for
	w.configure(nil, c)
	if s := w.router("web").State; s != "MASTER" {
		t.Fatalf("web is %s", s)
	}
	w.take()
	w.goes(route(&c.Routes[0]).Key(), strings.Replace(aRoute, "eth0", "eth9", 1))
	w.pass(time.Millisecond)
	w.want()
}

// The kernel does not tell that IPv4 routes went with their interface.
func TestRoutesThatWentWithTheInterface(t *testing.T) {
	w := newWorld(t)
	c := gateway(255)
	c.Routes[0].Device = ""
	w.configure(nil, c)
	const what = "route 203.0.113.0/24 via 192.0.2.254"
	w.take()
	delete(w.kernel, what)
	w.e.linkEvent(w.now, link.Event{
		Kind: link.AddrRemoved, Prefix: netip.MustParsePrefix("192.0.2.99/24"),
		Interface: link.Interface{Name: "eth0", Index: 2, Up: true, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24")}},
	})
	w.settle()
	w.want("add "+what, "web/"+what+" absent->present (repaired)")
	// Notifications were lost: everything is asked for again.
	delete(w.kernel, what)
	delete(w.kernel, aRule)
	w.e.routeEvent(w.now, link.RouteEvent{})
	w.settle()
	w.want("add "+what, "add "+aRule, "web/"+what+" absent->present (repaired)", "web/"+aRule+" absent->present (repaired)")
	// The interface of a route is needed.
	c = gateway(255)
	c.Routes[0].Device = "eth1"
	w.configure(nil, c)
	if i := w.router("web"); i.State != "FAULT" || !strings.Contains(i.Reason, "eth1") {
		t.Errorf("web is %s: %s", i.State, i.Reason)
	}
}

// A route that cannot be had is a failure that status shows, and is tried again.
func TestFailedRouteIsShownAndRetried(t *testing.T) {
	w := newWorld(t)
	w.fail[aRoute] = errors.New("network is unreachable")
	w.configure(nil, gateway(255))
	i := w.router("web")
	if i.State != "MASTER" || i.Routes[0].Installed || i.Routes[0].Error == "" || !i.Rules[0].Installed {
		t.Errorf("%s, routes %+v, rules %+v", i.State, i.Routes, i.Rules)
	}
	if f := w.e.snapshot().Failures; len(f) != 1 || f[0].What != "add "+aRoute {
		t.Errorf("failures %+v", f)
	}
	delete(w.fail, aRoute)
	w.pass(1100 * time.Millisecond)
	if i := w.router("web"); !i.Routes[0].Installed || len(w.e.snapshot().Failures) != 0 {
		t.Errorf("routes %+v", i.Routes)
	}
}

// A reload touches what differs only.
func TestReloadOfRoutes(t *testing.T) {
	w := newWorld(t)
	c := gateway(255)
	w.configure(nil, c)
	w.take()
	c = gateway(255)
	c.Routes = append(c.Routes, routeTo("198.51.100.0/24"))
	w.configure(nil, c)
	const other = "route 198.51.100.0/24 via 192.0.2.254 dev eth0"
	w.want("add "+other, "announce 192.0.2.10/32")
	c = gateway(255)
	c.Routes[0].MTU = 1400
	w.configure(nil, c)
	w.want("remove "+other, "remove "+aRoute, "add "+aRoute, "announce 192.0.2.10/32")
	if len(w.kernel) != 3 {
		t.Errorf("the kernel holds %v", w.kernel)
	}
}

// Static items come first, stay through everything and go last.
func TestStaticItems(t *testing.T) {
	w := newWorld(t)
	c := &config.Config{
		Instances:       []config.Instance{instance("web", 51, 255, "192.0.2.10/24")},
		StaticAddresses: []config.StaticAddress{{Prefix: netip.MustParsePrefix("198.51.100.1/24"), Device: "eth0"}},
		StaticRoutes:    []config.Route{routeTo("203.0.113.0/24")},
		StaticRules:     []config.Rule{ruleFrom("192.0.2.10/32")},
	}
	c.Instances[0].PromoteSecondaries = true
	const setting = "setting promote_secondaries of eth0"
	w.whole(c)
	want := []string{"eth0 192.0.2.10/24", "eth0 198.51.100.1/24", aRoute, aRule, setting}
	have := func() (list []string) {
		for what := range w.kernel {
			list = append(list, what)
		}
		slices.Sort(list)
		return list
	}
	if got := have(); !slices.Equal(got, want) {
		t.Errorf("the kernel holds %q, want %q", got, want)
	}
	for _, key := range []link.Key{(link.Setting{Device: "eth0", Name: link.PromoteSecondaries}).Key(), route(&c.StaticRoutes[0]).Key()} {
		if !w.swept[key] {
			t.Errorf("the clean-up of leftovers does not keep %+v", key)
		}
	}
	// A BACKUP has them as well.
	w.take()
	next := *c
	next.Instances = []config.Instance{instance("web", 51, 100, "192.0.2.10/24")}
	next.StaticRoutes = append(slices.Clone(c.StaticRoutes), routeTo("198.51.100.0/24"))
	next.StaticRules = nil
	w.whole(&next)
	if got := w.take(); !strings.Contains(got, "remove "+aRule) || !strings.Contains(got, "add route 198.51.100.0/24") || strings.Contains(got, "remove "+aRoute) {
		t.Errorf("at a reload:\n%s", got)
	}
	// Somebody else removes one, an interface takes them all.
	w.vanish("198.51.100.1/24")
	w.settle()
	if !w.kernel["eth0 198.51.100.1/24"] {
		t.Error("a static address was not put back")
	}
	w.e.linkEvent(w.now, link.Event{Kind: link.LinkRemoved, Interface: link.Interface{Name: "eth0", Index: 2}})
	w.settle()
	w.kernel = make(map[string]bool)
	w.link("eth0", 7, true, "192.0.2.1/24")
	for _, what := range []string{"eth0 198.51.100.1/24", aRoute, setting} {
		if !w.kernel[what] {
			t.Errorf("%s did not come back with its interface", what)
		}
	}
	w.pass(10 * time.Second)
	w.take()
	w.e.stop(w.now)
	if w.e.settled() {
		t.Error("settled before anything is off")
	}
	w.settle()
	if !w.e.settled() || len(w.kernel) != 0 {
		t.Errorf("settled %v, the kernel holds %q", w.e.settled(), have())
	}
	if got := w.take(); strings.Index(got, "remove 192.0.2.10/24") > strings.Index(got, "remove "+setting) {
		t.Errorf("the setting went before the address that needs it:\n%s", got)
	}
}

// A setting and an address that were there before stay; the process that follows a
// killed one knows which are ours.
func TestStaticItemsOfTheHostStay(t *testing.T) {
	c := &config.Config{
		Instances: []config.Instance{instance("web", 51, 255, "192.0.2.10/24")},
		StaticAddresses: []config.StaticAddress{
			{Prefix: netip.MustParsePrefix("198.51.100.1/24"), Device: "eth0"}, {Prefix: netip.MustParsePrefix("198.51.100.2/24"), Device: "eth0"}},
	}
	c.Instances[0].PromoteSecondaries = true
	const setting = "setting promote_secondaries of eth0"
	for _, before := range []bool{true, false} {
		w := newWorld(t)
		w.kernel[setting] = before
		w.kernel["eth0 198.51.100.1/24"] = true
		w.whole(c)
		again := newWorld(t)
		again.kernel = w.kernel
		if err := again.e.configure(again.now, &watchdog.Configure{Generation: 2, Config: c, Resume: resumeOf(w.e.snapshot())}); err != nil {
			t.Fatal(err)
		}
		again.settle()
		own := 0
		for _, i := range again.e.snapshot().Static {
			if i.Own {
				own++
			}
		}
		if want := map[bool]int{true: 2, false: 1}[before]; own != want {
			t.Errorf("%d are the host's own, want %d: %+v", own, want, again.e.snapshot().Static)
		}
		again.e.stop(again.now)
		again.settle()
		if !again.kernel["eth0 198.51.100.1/24"] || again.kernel["eth0 198.51.100.2/24"] || again.kernel[setting] != before {
			t.Errorf("setting %v before; the kernel holds %v", before, again.kernel)
		}
	}
}

// Both routers of an instance with two families have what is of their own.
func TestItemsOfTwoFamilies(t *testing.T) {
	c := instance("web", 51, 100, "192.0.2.10/32", "2001:db8::10/128")
	six := routeTo("203.0.113.0/24")
	six.To, six.Via = netip.MustParsePrefix("2001:db8:1::/48"), netip.MustParseAddr("2001:db8::254")
	c.Routes = []config.Route{routeTo("203.0.113.0/24"), six}
	rule6 := ruleFrom("192.0.2.10/32")
	rule6.Family, rule6.From = "inet6", netip.MustParsePrefix("2001:db8::10/128")
	c.Rules = []config.Rule{rule6, ruleFrom("192.0.2.10/32")}
	for _, family := range families(&c) {
		var got []string
		for _, i := range items(&c, family) {
			got = append(got, i.String())
		}
		if len(got) != 3 {
			t.Errorf("%v: %q", family, got)
		}
		for _, s := range got {
			if strings.Contains(s, "2001:") != (family.String() == "ipv6" || family.String() == "IPv6") {
				t.Errorf("%v has %s", family, s)
			}
		}
	}
}
