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

// wanted is the table by the rules, evaluated afresh from the facts: which
// servers are healthy, and whether the pool has its quorum.
func wanted(cfg PoolConfig, healthy map[string]bool, orders map[ipvs.DestKey]Override, quorum bool) map[ipvs.DestKey]ipvs.Destination {
	table := map[ipvs.DestKey]ipvs.Destination{}
	sorry := !quorum && cfg.Sorry != nil
	for _, s := range cfg.Servers {
		d := s.Dest
		o := orders[s.Key]
		switch o.Weighing {
		case Absolute:
			d.Weight = int32(o.Value)
		case Percent:
			d.Weight = (d.Weight*int32(o.Value) + 99) / 100
		}
		if o.Order == Drain && healthy[s.Name] {
			d.Weight = 0
			table[s.Key] = d
			continue
		}
		if !healthy[s.Name] || sorry || o.Order == Maintenance {
			d.Weight = 0
			if !s.Inhibit {
				continue
			}
		}
		table[s.Key] = d
	}
	if sorry {
		table[cfg.Sorry.Key] = cfg.Sorry.Dest
	}
	return table
}

// drawPool draws a configuration with up to five servers.
func drawPool(t *rapid.T) PoolConfig {
	var servers []ServerConfig
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if !rapid.Bool().Draw(t, name) {
			continue
		}
		s := server(name, int32(rapid.IntRange(0, 3).Draw(t, "weight")), rapid.SampledFrom([][]string{nil, {"tcp"}, {"tcp", "http"}, {"http", "ping"}}).Draw(t, "checks")...)
		s.Inhibit = rapid.Bool().Draw(t, "inhibit")
		for i := range s.Checks {
			s.Checks[i].Rise, s.Checks[i].Fall = rapid.IntRange(1, 3).Draw(t, "rise"), rapid.IntRange(1, 3).Draw(t, "fall")
		}
		servers = append(servers, s)
	}
	cfg := pool(servers...)
	cfg.Quorum = rapid.IntRange(0, 6).Draw(t, "quorum")
	cfg.Hysteresis = rapid.IntRange(0, 2).Draw(t, "hysteresis")
	if rapid.Bool().Draw(t, "sorry") {
		withSorry(&cfg)
	}
	if rapid.Bool().Draw(t, "drain on remove") {
		cfg.DrainOnRemove = time.Minute
	}
	return cfg
}

// drawOrder draws what an operator may order, the end of it included.
func drawOrder(t *rapid.T) Override {
	o, _ := ParseOverride(rapid.SampledFrom([]string{"", "", "drain", "maint", "=2", "=0", "50%", "200%"}).Draw(t, "order"))
	return o
}

// remember makes of a pool what its next process will know of it.
func remember(p *Pool) *Memory {
	m := &Memory{Servers: map[ipvs.DestKey]ServerMemory{}, Overrides: ordersOf(p), Leaving: p.Leaving()}
	m.State, m.Since, m.Reason = p.State()
	for _, s := range p.Servers() {
		k := ServerMemory{State: s.State, Since: s.Since, Reason: s.Why()}
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
// restarts with and without memory), the table is the one that the present facts call for; and once
// every check has had enough equal results, it is the one that a pool made afresh
// comes to with the same results.
func TestAnyHistoryGivesTheTableOfTheFacts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawPool(t)
		now := t0
		var have *ipvs.Entry // what stands in the kernel, as far as the pool knows
		p, _ := NewPool(cfg, nil, nil, now)
		facts := func(when string) {
			healthy, decided := map[string]bool{}, true
			for _, s := range p.Servers() {
				healthy[s.Config.Name] = s.State == Up
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
			want := map[ipvs.DestKey]ipvs.Destination{}
			for _, l := range p.Leaving() {
				want[l.Key] = l.Dest
			}
			maps.Copy(want, wanted(cfg, healthy, ordersOf(p), quorum))
			if got := p.Entry().Dests; !maps.Equal(got, want) {
				t.Fatalf("%s: table %v, want %v", when, got, want)
			}
		}
		facts("at the start")
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			now = now.Add(time.Second)
			action := rapid.IntRange(0, 11).Draw(t, "action")
			switch {
			case action >= 10:
				if len(p.Servers()) > 0 {
					p.Order(rapid.SampledFrom(p.Servers()).Draw(t, "ordered"), drawOrder(t), now)
				}
				if l := p.Leaving(); len(l) > 0 && rapid.Bool().Draw(t, "gone") {
					p.Gone(l[0].Key)
				}
			case action == 0:
				cfg = drawPool(t)
				p.Apply(cfg, now)
			case action <= 2:
				have = p.Entry()
				memory := remember(p)
				if action == 1 { // orders and leaves are written down, the rest is lost
					memory = &Memory{Overrides: memory.Overrides, Leaving: memory.Leaving}
				}
				before := serving(have)
				undecided, _, _ := p.State()
				p, _ = NewPool(cfg, have, memory, now)
				// The pool that is found is the pool that stays, except that a server
				// without checks needs no proof, and that an undecided pool may be
				// decided: it needs more to gain its quorum than it needed to keep it.
				if after := serving(p.Entry()); !slices.Equal(before, after) && allChecked(cfg) && undecided != Unknown {
					t.Fatalf("restart: %v served before, %v after", before, after)
				}
			default:
				var all []func()
				for _, s := range p.Servers() {
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
		for i, s := range p.Servers() {
			for j, c := range s.Checks {
				o := rapid.SampledFrom([]Outcome{Pass, Fail}).Draw(t, "final")
				for range 3 {
					p.Step(now, s, c, Result{Outcome: o, At: now})
					twin := fresh.Servers()[i]
					fresh.Step(now, twin, twin.Checks[j], Result{Outcome: o, At: now})
				}
			}
		}
		facts("at the end")
		// With hysteresis the past may decide, between the two thresholds.
		if got, want := p.Entry().Dests, fresh.Entry().Dests; cfg.Hysteresis == 0 && !maps.Equal(got, want) {
			t.Fatalf("table %v, a fresh pool has %v", got, want)
		}
	})
}

// serving lists who gets connections.
func serving(e *ipvs.Entry) []ipvs.DestKey {
	return slices.DeleteFunc(e.Keys(), func(k ipvs.DestKey) bool { return e.Dests[k].Weight == 0 })
}

func allChecked(cfg PoolConfig) bool {
	return !slices.ContainsFunc(cfg.Servers, func(s ServerConfig) bool { return len(s.Checks) == 0 })
}
