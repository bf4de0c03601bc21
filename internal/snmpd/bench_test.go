package snmpd

import (
	"fmt"
	"net/netip"
	"testing"

	"director/config"
	"director/internal/agentx"
	"director/internal/control"
)

// largeFarm is a state of 2,000 virtual servers with 20 real servers each.
func largeFarm() *state {
	c, now := &config.Config{}, &control.Checkers{}
	for i := range 2000 {
		vs := config.VirtualServer{Name: fmt.Sprintf("vs%d", i), Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}), 80), Protocol: "tcp", Scheduler: "wlc", Forwarding: "dr"}
		s := control.Service{Name: vs.Name, State: "up"}
		for j := range 20 {
			name := fmt.Sprintf("rs%d", j)
			vs.RealServers = append(vs.RealServers, config.RealServer{Name: name, Address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j)}), 80)})
			s.Servers = append(s.Servers, control.Server{Name: name, Health: "up", Counters: control.Counters{Connections: uint64(j)}})
		}
		c.VirtualServers = append(c.VirtualServers, vs)
		now.Services = append(now.Services, s)
	}
	return &state{config: c, status: &control.Status{Checkers: now}}
}

// BenchmarkLargeFarm measures 40,000 real servers: making the view of a new state, the
// search for one object's successor, and a walk over everything.
func BenchmarkLargeFarm(b *testing.B) {
	s, a := largeFarm(), agent()
	view := func() *agentx.View {
		v, err := agentx.NewView(s.objects(&a))
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
	v := view()
	b.Run("view", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			view()
		}
	})
	b.Run("next", func(b *testing.B) {
		b.ReportAllocs()
		at := agentx.Range{Start: checkPart.Append(4, 1, 38, 1000, 10)}
		for b.Loop() {
			v.Next(at)
		}
	})
	b.Run("walk", func(b *testing.B) {
		n := 0
		for b.Loop() {
			n = 0
			for at := v.Next(agentx.Range{}); at.Value.Type != agentx.TypeEndOfMIBView; at = v.Next(agentx.Range{Start: at.Name}) {
				n++
			}
		}
		b.ReportMetric(float64(n), "objects")
	})
}
