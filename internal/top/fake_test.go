package top

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"director/internal/control"
	"director/ipvs"
)

// begun is when the daemon of the tests was started.
var begun = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// farm is a source of a made-up farm, always the same.
type farm struct {
	services, servers int // of each
	lost              bool
	kernel            error
	calls             int
	panics            int // at this call
	wants             []Want
}

func (f *farm) Sample(w Want) Sample {
	f.calls++
	if f.calls == f.panics {
		panic("the source is broken")
	}
	f.wants = append(f.wants, w)
	s := Sample{At: begun.Add(3*time.Hour + 12*time.Minute), Want: w, View: f.view(w), Kernel: f.kernel}
	if f.lost {
		s.Lost, s.LostSince = errors.New("director is not running"), begun.Add(3*time.Hour)
	}
	if f.kernel == nil {
		s.Table, s.Stats = f.read(w)
	}
	return s
}

func (f *farm) name(i int) string { return fmt.Sprintf("web-%04d", i) }

func (f *farm) key(i int) ipvs.ServiceKey {
	return ipvs.AddrService(ipvs.TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(2 + i/250), byte(1 + i%250)}), 80))
}

func (f *farm) dest(j int) ipvs.DestKey {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(j / 250), byte(11 + j%250)}), 80)
}

func (f *farm) view(w Want) *control.Overview {
	v := &control.Overview{
		Version: "1.0", RouterID: "lb-a", Generation: 4, StartedAt: begun,
		Processes: []control.Process{{Role: "parent", State: "running", PID: 100}, {Role: "vrrp", State: "running"}, {Role: "checkers", State: "running", Restarts: 2}},
		Instances: []control.OverviewInstance{
			{Name: "inside", Family: "ipv4", State: "MASTER"}, {Name: "inside", Family: "ipv6", State: "MASTER"},
			{Name: "outside", State: "MASTER"}, {Name: "db", State: "BACKUP", Master: "192.0.2.2"}, {Name: "old", State: "FAULT"},
		},
	}
	for i := range f.services {
		s := control.OverviewService{Name: f.name(i), Addresses: []string{f.key(i).String()}, State: "up", Up: f.servers, Total: f.servers}
		if i%7 == 3 {
			s.Up--
		}
		if i == 5 {
			s.State, s.Up = "down", 0
		}
		if slices.Contains(w.Open, s.Name) {
			for j := range f.servers {
				r := control.OverviewServer{Name: fmt.Sprintf("app%d", j), Address: f.dest(j).String(), Health: "up"}
				if j == 0 && s.Up < f.servers {
					r.Health, r.Reason = "down", "connection refused"
				}
				if j == 1 && i == 0 {
					r.Order = "drain"
				}
				s.Servers = append(s.Servers, r)
			}
		}
		v.Services = append(v.Services, s)
	}
	return v
}

func (f *farm) read(w Want) (ipvs.Table, ipvs.Stats) {
	table, stats := ipvs.Table{}, ipvs.Stats{}
	for i := range f.services {
		key := f.key(i)
		e := table.Set(key, ipvs.Service{Scheduler: "wlc"})
		load := uint64((i*7919)%1000 + 1)
		st := &ipvs.ServiceStats{Dests: map[ipvs.DestKey]ipvs.DestStats{}}
		stats[key] = st
		if i == 5 {
			load = 0
		}
		st.Counters = ipvs.Counters{ConnectionRate: load, InPacketRate: 12 * load, OutPacketRate: 11 * load, InByteRate: 1300 * load, OutByteRate: 45_000 * load}
		if !w.All && !slices.Contains(w.Read, f.name(i)) {
			continue
		}
		for j := range f.servers {
			if j == 0 && i%7 == 3 || i == 5 {
				continue
			}
			e.Dests[f.dest(j)] = ipvs.Destination{Weight: int32(1 + j%3)}
			st.Dests[f.dest(j)] = ipvs.DestStats{Active: uint32(load) + uint32(j), Inactive: 3 * uint32(load),
				Counters: ipvs.Counters{ConnectionRate: load / 2, InByteRate: 100 * uint64(j)}}
		}
	}
	// Somebody else's.
	key := ipvs.MarkService(77, ipvs.IPv4)
	table.Set(key, ipvs.Service{Scheduler: "rr"})
	stats[key] = &ipvs.ServiceStats{Dests: map[ipvs.DestKey]ipvs.DestStats{}}
	return table, stats
}
