package checkers

import (
	"testing"
	"time"
)

// ramping is a pool of two whose servers take 10s to come to their weight.
func ramping(weights ...int32) PoolConfig {
	var servers []ServerConfig
	for i, w := range weights {
		s := server(string(rune('a'+i)), w, "tcp")
		s.RampUp = 10 * time.Second
		servers = append(servers, s)
	}
	return pool(servers...)
}

// started returns a pool whose servers are all up.
func started(t *testing.T, cfg PoolConfig) *Pool {
	t.Helper()
	p, _ := NewPool(cfg, nil, nil, t0)
	for _, s := range cfg.Servers {
		result(t, p, t0, s.Name+"+")
	}
	return p
}

func TestRamp(t *testing.T) {
	t.Run("a server that comes back", func(t *testing.T) {
		p := started(t, ramping(100, 40))
		play(t, p, result(t, p, t0, "a-"), t0, []step{
			{table: "b:40", said: "a up>down (check failed: tcp: refused)"},
			{do: "a+", table: "a:10 b:40", said: "a down>up (checks passed); a up>up (ramp up began: 10 of 100, the whole in 10s)"},
			{after: 999 * time.Millisecond, table: "a:10 b:40"},
			{after: time.Millisecond, table: "a:19 b:40"},
			{after: 4 * time.Second, table: "a:55 b:40"},
			{after: 4999 * time.Millisecond, table: "a:91 b:40"},
			{after: time.Millisecond, table: "a:100 b:40", said: "a up>up (ramp up ended: the whole weight of 100)"},
			{after: time.Hour, table: "a:100 b:40"},
		})
	})
	t.Run("when it is next", func(t *testing.T) {
		p := started(t, ramping(100, 40))
		if at, ok := p.Next(); ok {
			t.Errorf("something at %v", at)
		}
		result(t, p, t0, "a-")
		result(t, p, t0, "a+")
		now, steps := t0, 0
		for at, ok := p.Next(); ok; at, ok = p.Next() {
			if at.Sub(now) != time.Second {
				t.Fatalf("%v after the one before", at.Sub(now))
			}
			now, steps = at, steps+1
			if _, moved := p.Tick(now); !moved {
				t.Errorf("nothing moved at %v", now)
			}
		}
		if steps != rampSteps {
			t.Errorf("%d steps", steps)
		}
	})
	t.Run("nobody ramps when a pool begins", func(t *testing.T) {
		play(t, started(t, ramping(100, 40)), nil, t0, []step{{table: "a:100 b:40"}})
	})
	t.Run("a new server in a pool that serves", func(t *testing.T) {
		p := started(t, ramping(100))
		play(t, p, nil, t0, []step{
			{table: "a:100"},
			{apply: new(ramping(100, 40)), table: "a:100"},
			{do: "b+", table: "a:100 b:4", said: "b unknown>up (checks passed); b up>up (ramp up began: 4 of 40, the whole in 10s)"},
			{apply: new(with(ramping(100, 40), func(p *PoolConfig) { p.Servers[1].RampUp = 0 })), table: "a:100 b:40", said: "b up>up (ramp up ended: the whole weight of 40)"},
		})
	})
	t.Run("one that is not in the table beside those that serve", func(t *testing.T) {
		p, changes := NewPool(ramping(100, 40), read("b:40"), nil, t0)
		play(t, p, changes, t0, []step{
			{table: "b:40"},
			{do: "a+", table: "a:10 b:40", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 100, 1 needed); a up>up (ramp up began: 10 of 100, the whole in 10s)"},
		})
	})
	t.Run("a weight of 1 has no smaller share, one of 0 none", func(t *testing.T) {
		p := started(t, ramping(1, 0, 5))
		result(t, p, t0, "a-")
		result(t, p, t0, "b-")
		play(t, p, result(t, p, t0, "b+"), t0, []step{
			{table: "b:0 c:5", said: "b down>up (checks passed)"},
			{do: "a+", table: "a:1 b:0 c:5", said: "a down>up (checks passed)"},
		})
	})
	t.Run("ended by a failure", func(t *testing.T) {
		p := started(t, ramping(100, 40))
		result(t, p, t0, "a-")
		result(t, p, t0, "a+")
		play(t, p, result(t, p, t0, "a-"), t0, []step{
			{table: "b:40", said: "a up>down (check failed: tcp: refused)"},
			{after: time.Hour, table: "b:40"},
		})
	})
	t.Run("begins when the sorry server makes way", func(t *testing.T) {
		p := started(t, with(ramping(100, 40), func(p *PoolConfig) { withSorry(p); p.Quorum = 120 }))
		result(t, p, t0, "a-")
		result(t, p, t0, "b-")
		play(t, p, result(t, p, t0, "a+"), t0, []step{
			{table: "s:1", said: "a down>up (checks passed)"},
			{after: time.Minute, table: "s:1"},
			{do: "b+", table: "a:10 b:4", said: "b down>up (checks passed); pool sorry>up (quorum gained: healthy weight 140, 120 needed); " +
				"a up>up (ramp up began: 10 of 100, the whole in 10s); b up>up (ramp up began: 4 of 40, the whole in 10s)"},
		})
	})
	t.Run("shares what checks advise", func(t *testing.T) {
		cfg := ramping(100, 40)
		cfg.Servers[0].Checks[0].Weighs = true
		p := started(t, cfg)
		result(t, p, t0, "a-")
		result(t, p, t0, "a+")
		a := p.Servers()[0]
		p.Step(t0.Add(time.Second), a, a.Checks[0], Result{Outcome: Pass, Advice: Advice{Weighing: Percent, Value: 50}})
		p.Tick(t0.Add(5 * time.Second))
		if got := show(p.Entry()); got != "a:28 b:40" { // 55% of 50
			t.Errorf("table %q", got)
		}
		p.Step(t0.Add(5*time.Second), a, a.Checks[0], Result{Outcome: Pass, Advice: Advice{Order: Drain}})
		if got := show(p.Entry()); got != "a:0 b:40" {
			t.Errorf("table %q", got)
		}
	})
	t.Run("the quorum asks for health alone", func(t *testing.T) {
		p := started(t, with(ramping(100, 40), func(p *PoolConfig) { p.Quorum = 140 }))
		result(t, p, t0, "a-")
		result(t, p, t0, "a+")
		if state, _, _ := p.State(); state != Up {
			t.Errorf("the pool is %s", state)
		}
	})
	t.Run("after a drain", func(t *testing.T) {
		p := started(t, ramping(100, 40))
		a := p.Servers()[0]
		p.Order(a, Override{Order: Drain}, t0)
		play(t, p, p.Order(a, Override{}, t0), t0, []step{
			{table: "a:10 b:40", said: "a up>up (ramp up began: 10 of 100, the whole in 10s)"},
			{after: 5 * time.Second, table: "a:55 b:40"},
		})
		if changes := p.Order(a, Override{Weighing: Percent, Value: 50}, t0); tell(changes) != "" {
			t.Errorf("another weight: %s", tell(changes))
		}
		p.Order(a, Override{Order: Drain}, t0)
		if changes, _ := p.Tick(t0.Add(time.Minute)); tell(changes) != "" {
			t.Errorf("a weight rises while it drains: %s", tell(changes))
		}
	})
	t.Run("after a maintenance", func(t *testing.T) {
		p := started(t, ramping(100, 40))
		a := p.Servers()[0]
		p.Order(a, Override{Order: Maintenance}, t0)
		changes := p.Order(a, Override{Order: Drain}, t0)
		play(t, p, append(changes, p.Order(a, Override{}, t0)...), t0, []step{
			{table: "a:10 b:40", said: "a up>up (ramp up began: 10 of 100, the whole in 10s)"},
		})
	})
	t.Run("goes on in the next process", func(t *testing.T) {
		p := started(t, ramping(100, 40))
		result(t, p, t0, "a-")
		result(t, p, t0, "a+")
		p.Tick(t0.Add(4 * time.Second))
		next, changes := NewPool(ramping(100, 40), p.Entry(), remember(p), t0.Add(5*time.Second))
		play(t, next, changes, t0.Add(5*time.Second), []step{{table: "a:55 b:40"}, {after: 5 * time.Second, table: "a:100 b:40", said: "a up>up (ramp up ended: the whole weight of 100)"}})
		// A clock that was set back begins it anew.
		next, changes = NewPool(ramping(100, 40), p.Entry(), remember(p), t0.Add(-time.Hour))
		play(t, next, changes, t0.Add(-time.Hour), []step{{table: "a:10 b:40"}, {after: 10 * time.Second, table: "a:100 b:40", said: "a up>up (ramp up ended: the whole weight of 100)"}})
	})
}
