package control

import (
	"strings"
	"testing"
	"time"
)

// What pools do by themselves, and where a service is not in the table on purpose.
func TestRenderPools(t *testing.T) {
	s := calm()
	s.Checkers = &Checkers{Services: []Service{
		{Name: "web", Address: "192.0.2.1:80/tcp", State: "up", Installed: true, ActiveWith: "lan",
			PanicGuard: &PanicGuard{Threshold: 50, Needs: 2, Of: 4, Blocking: true}, NoVerdict: &NoVerdict{Since: at(90 * time.Second)},
			Servers: []Server{
				{Name: "a", Address: "10.0.0.1:80", Health: "up", Weight: 100, EffectiveWeight: 80, RampUp: &RampUp{Weight: 32, Began: at(12 * time.Second), Ends: at(-18 * time.Second)},
					Unchecked: at(3 * time.Minute), Obstacle: "tcp 10.0.0.1:80: local failure: no such address"},
				{Name: "b", Address: "10.0.0.2:80", Health: "down", Kept: true},
			},
			SorryServers: []Server{{Name: "first", Address: "10.0.0.8:80", Health: "down"}, {Address: "10.0.0.9:80", Health: "up"}},
		},
		{Name: "dns", Address: "192.0.2.1:53/tcp", State: "up", ActiveWith: "lan", Standby: true, PanicGuard: &PanicGuard{Threshold: 50},
			Group: "vips", Members: []ServiceMember{{Address: "192.0.2.1:53/tcp"}, {Address: "192.0.2.2:53/tcp"}}},
		{Name: "mail", Address: "192.0.2.1:25/tcp", State: "up", ActiveWith: "lan", Standby: true},
	}}
	var b strings.Builder
	if err := Render(&b, s, View{Now: at(0)}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ramping 32 of 80, 18s left",
		"the panic guard keeps it in service",
		"panic guard: weight 2 of 4 (50%) stays in service although servers are down",
		"alarm for 1m30s: checks of servers cannot be made",
		"unchecked for 3m0s: tcp 10.0.0.1:80: local failure: no such address",
		"in the kernel's table while the instance lan is MASTER here",
		"on standby: not in the kernel's table while the instance lan is not MASTER here",
		"sorry server first 10.0.0.8:80",
		"sorry server 10.0.0.9:80",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
	if n := strings.Count(b.String(), "panic guard:"); n != 1 {
		t.Errorf("%d panic guards in\n%s", n, b.String())
	}
	if strings.Contains(b.String(), "does not have") {
		t.Errorf("something is missed in\n%s", b.String())
	}
}
