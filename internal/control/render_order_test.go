package control

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// orderedFarm is a farm in which operators have ordered all that there is.
func orderedFarm() *Checkers {
	server := func(name string, o *Override) Server {
		return Server{Name: name, Address: "10.0.0." + name + ":80", Health: "up", Weight: 4, EffectiveWeight: 4, KernelWeight: 4, Installed: true,
			Active: 12, Persistent: 1, Override: o, Since: rendered.Add(-time.Hour)}
	}
	since := rendered.Add(-5 * time.Minute)
	return &Checkers{Services: []Service{{Name: "web", Address: "192.0.2.1:80/tcp", State: "up", Since: since, Installed: true,
		Servers: []Server{
			server("1", nil),
			server("2", &Override{Order: VerbDrain, Author: "root", Claimed: "alice", Reason: "kernel", Since: since, By: rendered.Add(4 * time.Minute), Until: rendered.Add(2 * time.Hour), Left: 13}),
			server("3", &Override{Order: VerbDrain, Author: "root", Since: since, Drained: rendered.Add(-time.Minute)}),
			server("4", &Override{Order: VerbMaintain, Author: "root", Since: since, After: AfterDrained}),
			server("5", &Override{Order: VerbMaintain, Author: "root", Since: since, After: AfterDeadline, Left: 1}),
			server("6", &Override{Order: VerbWeight, Author: "root", Weight: "50%", Since: since}),
		},
		Leaving: []LeavingServer{{Name: "7", Address: "10.0.0.7:80", Since: since, Deadline: rendered.Add(30 * time.Second), Installed: true, Active: 1, Left: 1}},
	}}}
}

var rendered = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

func TestStatusShowsOrders(t *testing.T) {
	var out bytes.Buffer
	if err := Render(&out, &Status{Checkers: orderedFarm()}, View{Now: rendered}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"not as in the file: 2 servers told to drain, 2 servers in maintenance, 1 server with another weight, 1 server leaving\n",
		"    drain     by root for alice 5m0s ago: kernel; 12 connections and 1 persistent client left; out of service in 4m0s at the latest; ready again in 2h0m\n",
		"    drain     by root 5m0s ago; no connection left for 1m0s\n",
		"    maintain  by root 5m0s ago; drained before\n",
		"    maintain  by root 5m0s ago; the drain's deadline cut off 1 connection\n",
		"    weight    by root 5m0s ago; 50% in place of 4\n",
		"7 10.0.0.7:80  leaving",
		"    leaving   is not in the file any more; 1 connection left, goes in 30s at the latest\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
	if t.Failed() {
		t.Log("\n" + out.String())
	}
	out.Reset()
	c := orderedFarm()
	c.Services[0].Servers, c.Services[0].Leaving = c.Services[0].Servers[:1], nil
	if err := Render(&out, &Status{Checkers: c}, View{Now: rendered}); err != nil || strings.Contains(out.String(), "not as in the file") {
		t.Errorf("nothing is ordered:\n%s", out.String())
	}
}

func TestRenderOrder(t *testing.T) {
	r := OrderResult{Notes: []string{"be careful"}}
	for _, s := range orderedFarm().Services[0].Servers[:2] {
		r.Servers = append(r.Servers, OrderedServer{Service: "web", Was: VerbReady, Server: s})
	}
	var out bytes.Buffer
	if err := RenderOrder(&out, r, View{Now: rendered}); err != nil {
		t.Fatal(err)
	}
	const want = `SERVER  ADDRESS      ORDER  HEALTH  WEIGHT  KERNEL  ACTIVE  PERSISTENT  INACTIVE
web/1   10.0.0.1:80  ready  up           4       4      12           1         0
web/2   10.0.0.2:80  drain  up           4       4      12           1         0
  by root for alice 5m0s ago: kernel; 12 connections and 1 persistent client left; out of service in 4m0s at the latest; ready again in 2h0m
note: be careful
`
	if got := out.String(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
