package checkers

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"director/ipvs"
)

// ordered is the weight of a server as the configuration and an operator have it; 0
// when the operator takes it out of service.
func ordered(s *Server) int {
	if s.Override().Order != NoOrder {
		return 0
	}
	return undrained(s)
}

// undrained is the same if nobody had drained anything.
func undrained(s *Server) int {
	o, weight := s.Override(), int(s.Config.Dest.Weight)
	switch o.Weighing {
	case Absolute:
		weight = o.Value
	case Percent:
		weight = (weight*o.Value + 99) / 100
	}
	if o.Order == Maintenance {
		return 0
	}
	return weight
}

// wanted is the table by the rules, evaluated afresh from the facts: how the servers
// of a pool are and since when, what is ordered, who leaves, and whether there is a
// quorum. Nobody ramps.
func wanted(p *Pool, quorum bool) map[ipvs.DestKey]ipvs.Destination {
	cfg := p.Config()
	in := map[*Server]bool{}
	serving, base := 0, 0
	trusted, trustedBase := 0, 0 // without the drains: whether the guard has to distrust the verdicts
	for _, s := range p.Servers() {
		base += ordered(s)
		trustedBase += undrained(s)
		if s.State == Up {
			in[s] = true
			trusted += undrained(s)
			serving += ordered(s)
		}
	}
	// The panic guard: while too little serves, the one that failed last comes back.
	for cfg.PanicThreshold > 0 && serving*100 < base*cfg.PanicThreshold {
		var last *Server
		for _, s := range p.Servers() {
			if !in[s] && ordered(s) > 0 && (last == nil || s.Since.After(last.Since)) {
				last = s
			}
		}
		in[last] = true
		serving += ordered(last)
	}
	var sorry *Server
	for _, s := range p.SorryServers() {
		if sorry == nil && s.State == Up && !quorum && (cfg.PanicThreshold == 0 || base == 0) {
			sorry = s
		}
	}
	table := map[ipvs.DestKey]ipvs.Destination{}
	for _, l := range p.Leaving() {
		table[l.Key] = l.Dest
	}
	for _, s := range p.All() {
		d := s.Config.Dest
		d.Weight = int32(ordered(s))
		drains := s.Override().Order == Drain && (s.State == Up || trusted*100 < trustedBase*cfg.PanicThreshold)
		serves := s == sorry || in[s] && sorry == nil && s.Override().Order != Maintenance
		if !serves && !drains {
			d.Weight = 0
			if !s.Config.Inhibit {
				continue
			}
		}
		table[s.Config.Key] = d
	}
	return table
}

// drawPool draws a configuration with up to five servers and two sorry servers.
func drawPool(t *rapid.T) PoolConfig {
	draw := func(weight int, name string) ServerConfig {
		s := server(name, int32(weight), rapid.SampledFrom([][]string{nil, {"tcp"}, {"tcp", "http"}, {"http", "ping"}}).Draw(t, "checks")...)
		s.Inhibit = rapid.Bool().Draw(t, "inhibit")
		for i := range s.Checks {
			s.Checks[i].Rise, s.Checks[i].Fall = rapid.IntRange(1, 3).Draw(t, "rise"), rapid.IntRange(1, 3).Draw(t, "fall")
		}
		return s
	}
	var servers []ServerConfig
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		s := draw(rapid.SampledFrom([]int{0, 1, 2, 3, 100}).Draw(t, "weight"), name)
		s.StartsIn = rapid.Bool().Draw(t, "starts in")
		s.RampUp = rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Minute}).Draw(t, "ramp up")
		servers = append(servers, s)
	}
	cfg := pool(servers...)
	cfg.Quorum = rapid.IntRange(0, 6).Draw(t, "quorum")
	cfg.Hysteresis = rapid.IntRange(0, 2).Draw(t, "hysteresis")
	cfg.PanicThreshold = rapid.SampledFrom([]int{0, 0, 1, 40, 50, 100}).Draw(t, "panic threshold")
	for _, name := range []string{"s", "t"} {
		if rapid.Bool().Draw(t, name) {
			cfg.Sorry = append(cfg.Sorry, draw(1, name))
		}
	}
	if rapid.Bool().Draw(t, "drain on remove") {
		cfg.DrainOnRemove = time.Minute
	}
	return cfg
}

// drawOrder draws what an operator may order, the end of it included.
func drawOrder(t *rapid.T) Override {
	o, _ := readOrder(rapid.SampledFrom([]string{"", "", "drain", "maint", "=2", "=0", "50%", "200%"}).Draw(t, "order"))
	return o
}

// remember makes of a pool what its next process will know of it.
func remember(p *Pool) *Memory {
	m := &Memory{Servers: map[ipvs.DestKey]ServerMemory{}, Overrides: ordersOf(p), Leaving: p.Leaving()}
	if yes, since := p.Guarding(); yes {
		m.GuardedSince = since
	}
	m.State, m.Since, m.Reason = p.State()
	for _, s := range p.All() {
		k := ServerMemory{State: s.State, Since: s.Since, Reason: s.Why(), Kept: s.Kept}
		k.Ramp, _ = s.Ramp()
		for _, c := range s.Checks {
			k.Checks = append(k.Checks, CheckMemory{Label: c.Config.Label, State: c.Health.State, Last: c.Last})
		}
		m.Servers[s.Config.Key] = k
	}
	return m
}

func ordersOf(p *Pool) map[ipvs.DestKey]Override {
	orders := map[ipvs.DestKey]Override{}
	for _, s := range p.Servers() {
		orders[s.Config.Key] = s.Override()
	}
	return orders
}

// Whatever happened before (results in any order, orders of an operator, reloads,
// restarts with and without memory, on standby or not), the table is the one that the present facts
// call for, but for weights that are still rising; and once every check has had
// enough equal results and the weights have risen, it is the one that a pool made
// afresh comes to with the same results.
func TestAnyHistoryGivesTheTableOfTheFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawPool(t)
		now := t0
		var have *ipvs.Entry // what stands in the kernel, as far as the pool knows
		p, _ := NewPool(cfg, nil, nil, now)
		facts := func(when string) {
			decided := true
			for _, s := range p.All() {
				decided = decided && s.State != Unknown
			}
			state, _, _ := p.State()
			if decided && state == Unknown {
				t.Fatalf("%s: every server is decided, the pool is not", when)
			}
			if !decided {
				return
			}
			weight, quorum := p.Weights().Up, state == Up
			if gain := max(cfg.Quorum+cfg.Hysteresis, 1); weight >= gain && !quorum {
				t.Fatalf("%s: weight %d, gained at %d, but the pool is %s", when, weight, gain, state)
			}
			if keep := max(cfg.Quorum-cfg.Hysteresis, 1); weight < keep && quorum {
				t.Fatalf("%s: weight %d, lost below %d, but the pool is %s", when, weight, keep, state)
			}
			if got, want := risen(t, p), wanted(p, quorum); !maps.Equal(got, want) {
				t.Fatalf("%s: table %v, want %v", when, got, want)
			}
		}
		facts("at the start")
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			now = now.Add(time.Second)
			action := rapid.IntRange(0, 13).Draw(t, "action")
			switch {
			case action >= 12:
				if len(p.Servers()) > 0 {
					p.Order(rapid.SampledFrom(p.Servers()).Draw(t, "ordered"), drawOrder(t), now)
				}
				if l := p.Leaving(); len(l) > 0 && rapid.Bool().Draw(t, "gone") {
					p.Gone(l[0].Key)
				}
			case action == 0:
				cfg = drawPool(t)
				p.Apply(cfg, now)
			case action <= 4:
				have = p.Entry()
				before, memory := serving(have), remember(p)
				if action == 1 { // orders and leaves are written down, the rest is lost
					memory = &Memory{Overrides: memory.Overrides, Leaving: memory.Leaving}
				}
				if action == 4 {
					have, memory.Standby = nil, true
				}
				undecided, _, _ := p.State()
				states := map[string]State{}
				for _, s := range p.All() {
					states[s.Config.Name] = s.State
				}
				var told []Change
				p, told = NewPool(cfg, have, memory, now)
				for _, s := range p.All() {
					if was := states[s.Config.Name]; action > 1 && was != Unknown && s.State != was {
						t.Fatalf("restart with memory: %s is %s, was %s", s.Config.Name, s.State, was)
					}
				}
				told = slices.DeleteFunc(told, func(c Change) bool { return c.Reason == RampEnded })
				decided := !slices.Contains(slices.Collect(maps.Values(states)), Unknown)
				if action > 1 && decided && len(told) > 0 {
					t.Fatalf("restart with memory tells %s", tell(told))
				}
				// The pool that is found is the pool that stays, except that a server
				// without checks needs no proof, and that an undecided pool may be
				// decided: it needs more to gain its quorum than it needed to keep it.
				// On standby nobody keeps the place of a server without a verdict.
				if after := serving(p.Entry()); action != 4 && !slices.Equal(before, after) && allChecked(cfg) && undecided != Unknown {
					t.Fatalf("restart: %v served before, %v after", before, after)
				}
			case action == 5:
				now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
				p.Tick(now)
			default:
				var all []func()
				for _, s := range p.All() {
					for _, c := range s.Checks {
						o := rapid.SampledFrom([]Outcome{Pass, Fail, Inconclusive}).Draw(t, "outcome")
						all = append(all, func() { p.Step(now, s, c, Result{Outcome: o, At: now}) })
					}
				}
				if len(all) > 0 {
					all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]()
				}
			}
			facts(fmt.Sprintf("after action %d", action))
		}

		fresh, _ := NewPool(cfg, nil, &Memory{Overrides: ordersOf(p)}, now)
		for _, l := range p.Leaving() {
			p.Gone(l.Key)
		}
		for i, s := range p.All() {
			for j, c := range s.Checks {
				o := rapid.SampledFrom([]Outcome{Pass, Fail}).Draw(t, "final")
				for range 3 {
					p.Step(now, s, c, Result{Outcome: o, At: now})
					twin := fresh.All()[i]
					fresh.Step(now, twin, twin.Checks[j], Result{Outcome: o, At: now})
				}
			}
		}
		now = now.Add(time.Hour)
		p.Tick(now)
		fresh.Tick(now)
		facts("at the end")
		// With hysteresis the past may decide, between the two thresholds; and which
		// servers the guard keeps depends on when they failed.
		got, want := p.Entry().Dests, fresh.Entry().Dests
		guarding, _ := p.Guarding()
		if cfg.Hysteresis == 0 && !guarding && !maps.Equal(got, want) {
			t.Fatalf("table %v, a fresh pool has %v", got, want)
		}
		if at, more := p.Next(); more {
			t.Fatalf("a weight still rises, at %v", at)
		}
	})
}

// risen is the table of a pool with the weights that it will have when none rises
// any more. It checks those that do rise.
func risen(t *rapid.T, p *Pool) map[ipvs.DestKey]ipvs.Destination {
	table := maps.Clone(p.Entry().Dests)
	for _, s := range p.Servers() {
		d, ok := table[s.Config.Key]
		if began, _ := s.Ramp(); began.IsZero() || !ok || p.Place(s) != In {
			continue
		}
		if d.Weight < min(1, s.Weight()) || d.Weight > s.Weight() {
			t.Fatalf("%s has the weight %d of %d while that rises", s.Config.Name, d.Weight, s.Weight())
		}
		d.Weight = s.Weight()
		table[s.Config.Key] = d
	}
	return table
}

// serving lists who gets connections.
func serving(e *ipvs.Entry) []ipvs.DestKey {
	return slices.DeleteFunc(e.Keys(), func(k ipvs.DestKey) bool { return e.Dests[k].Weight == 0 })
}

func allChecked(cfg PoolConfig) bool {
	return !slices.ContainsFunc(cfg.Servers, func(s ServerConfig) bool { return len(s.Checks) == 0 })
}
