package checkers

import (
	"testing"
	"time"
)

// guarded is a pool of four with weight 1 each, of which half stays in service.
func guarded() PoolConfig {
	cfg := pool(server("a", 1, "tcp"), server("b", 1, "tcp"), server("c", 1, "tcp"), server("d", 1, "tcp"))
	cfg.PanicThreshold = 50
	return cfg
}

func failed(name string) string { return name + " up>down (check failed: tcp: refused)" }

func failedAndKept(name string) string {
	return name + " up>down (check failed: tcp: refused; the panic guard keeps it in service)"
}

func TestPanicGuard(t *testing.T) {
	began := func(up, kept string) string {
		return "pool up>up (panic guard: healthy weight " + up + " of 4 is less than the 50% that have to stay; in service although down: " + kept + ")"
	}
	t.Run("those that failed last stay", func(t *testing.T) {
		play(t, started(t, guarded()), nil, t0, []step{
			{table: "a:1 b:1 c:1 d:1"},
			{do: "c-", table: "a:1 b:1 d:1", said: failed("c")},
			{do: "a-", table: "b:1 d:1", said: failed("a")},
			{do: "b-", table: "b:1 d:1", said: failedAndKept("b") + "; " + began("1", "b")},
			{do: "d-", table: "b:1 d:1", said: failedAndKept("d") + "; pool up>down (quorum lost: healthy weight 0, 1 needed)"},
			{do: "c+", table: "c:1 d:1", said: "c down>up (checks passed); pool down>up (quorum gained: healthy weight 1, 1 needed)"},
			{do: "a+", table: "a:1 c:1", said: "a down>up (checks passed); pool up>up (panic guard ended: healthy weight 2, at least 2 have to stay)"},
		})
	})
	t.Run("off", func(t *testing.T) {
		p := started(t, with(guarded(), func(p *PoolConfig) { p.PanicThreshold = 0 }))
		result(t, p, t0, "a-")
		result(t, p, t0, "b-")
		play(t, p, result(t, p, t0, "c-"), t0, []step{{table: "d:1", said: failed("c")}})
	})
	t.Run("by weight, rounded up", func(t *testing.T) {
		p := started(t, with(guarded(), func(p *PoolConfig) { p.Servers[3].Dest.Weight = 2; p.PanicThreshold = 41 })) // 2.05 of 5
		result(t, p, t0, "d-")
		play(t, p, nil, t0, []step{
			{table: "a:1 b:1 c:1"},
			{do: "a-", table: "a:1 b:1 c:1", said: failedAndKept("a") + "; pool up>up (panic guard: healthy weight 2 of 5 is less than the 41% that have to stay; in service although down: a)"},
			{do: "b-", table: "a:1 b:1 c:1", said: failedAndKept("b")},
		})
	})
	t.Run("a start waits for the verdicts", func(t *testing.T) {
		p, changes := NewPool(guarded(), nil, nil, t0)
		play(t, p, changes, t0, []step{
			{table: ""},
			{do: "a-", table: "", said: "a unknown>down (check failed: tcp: refused)"},
			{do: "b-", table: "", said: "b unknown>down (check failed: tcp: refused)"},
			{do: "c+", table: "c:1", said: "c unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
			{do: "d-", table: "c:1 d:1", said: "d unknown>down (check failed: tcp: refused; the panic guard keeps it in service); " + began("1", "d")},
		})
	})
	t.Run("the sorry server waits", func(t *testing.T) {
		p := started(t, with(guarded(), withSorry))
		for _, s := range []string{"a-", "b-", "c-"} {
			result(t, p, t0, s)
		}
		play(t, p, nil, t0, []step{
			{table: "a:1 d:1"}, // all three failed at the same time: the first of the list
			{do: "d-", table: "a:1 d:1", said: failedAndKept("d") + "; pool up>down (quorum lost: healthy weight 0, 1 needed)"},
			{apply: new(with(with(guarded(), withSorry), func(p *PoolConfig) { p.PanicThreshold = 0 })), table: "s:1",
				said: "pool down>down (panic guard ended: there is no panic_threshold any more); pool down>sorry (sorry server changed: healthy weight 0, 1 needed)"},
		})
	})
	t.Run("an order is obeyed, and the guard shares out the rest", func(t *testing.T) {
		cfg := with(guarded(), withSorry)
		for i := range cfg.Servers {
			cfg.Servers[i].Checks[0].Weighs = true
		}
		p := started(t, cfg)
		order := func(i int) {
			s := p.Servers()[i]
			p.Step(t0, s, s.Checks[0], Result{Outcome: Pass, Advice: Advice{Order: Maintenance}})
		}
		order(0)
		order(1)
		play(t, p, nil, t0, []step{
			{table: "c:1 d:1"},
			{do: "c-", table: "d:1", said: failed("c")},
			{do: "d-", table: "d:1", said: failedAndKept("d") + "; pool up>up (panic guard: healthy weight 0 of 2 is less than the 50% that have to stay; in service although down: d); " +
				"pool up>down (quorum lost: healthy weight 0, 1 needed)"},
		})
		order(3) // c is kept in its place
		if got := show(p.Entry()); got != "c:1" {
			t.Errorf("table %q", got)
		}
		order(2) // nobody is left to be kept
		if got := show(p.Entry()); got != "s:1" {
			t.Errorf("table %q", got)
		}
	})
	t.Run("who drains keeps the connections while the verdicts are distrusted", func(t *testing.T) {
		p := started(t, guarded())
		for _, s := range []string{"a-", "b-", "c-", "d-"} {
			result(t, p, t0, s)
		}
		play(t, p, nil, t0, []step{{table: "a:1 b:1"}})
		for _, o := range []struct{ order, table string }{
			{"a drain", "a:0 b:1 c:1"}, // it was kept, and another one is in its place
			{"b c drain", "a:0 b:0 c:0 d:1"},
			{"d drain", "a:0 b:0 c:0 d:0"}, // the guard has nobody left to keep
			{"b maint", "a:0 c:0 d:0"},
		} {
			order(t, p, t0, o.order)
			if got := show(p.Entry()); got != o.table {
				t.Errorf("%s: table %q, want %q", o.order, got, o.table)
			}
		}
		next, _ := NewPool(guarded(), p.Entry(), remember(p), t0)
		play(t, next, nil, t0, []step{
			{table: "a:0 c:0 d:0"},
			{do: "c+", table: "a:0 c:0 d:0", said: "c down>up (checks passed)"},
			{do: "d+", table: "c:0 d:0", said: "d down>up (checks passed)"}, // half of what is not in maintenance is well: a is dead
			{do: "d-", table: "a:0 c:0 d:0", said: failed("d")},
		})
	})
	t.Run("inhibit and a ramp", func(t *testing.T) {
		cfg := with(ramping(100, 100), withInhibit)
		cfg.PanicThreshold = 50
		p := started(t, cfg)
		result(t, p, t0, "a-")
		result(t, p, t0.Add(time.Second), "b-")
		play(t, p, nil, t0.Add(time.Second), []step{
			{table: "a:0 b:100"},
			{do: "b+", table: "a:0 b:100", said: "b down>up (checks passed); pool down>down (panic guard ended: healthy weight 100, at least 100 have to stay); pool down>up (quorum gained: healthy weight 100, 1 needed)"},
			{do: "a+", table: "a:10 b:100", said: "a down>up (checks passed); a up>up (ramp up began: 10 of 100, the whole in 10s)"},
		})
	})
	t.Run("holds across processes without another alarm", func(t *testing.T) {
		p := started(t, guarded())
		for _, s := range []string{"a-", "b-", "c-"} {
			result(t, p, t0, s)
		}
		next, changes := NewPool(guarded(), p.Entry(), remember(p), t0)
		play(t, next, changes, t0, []step{{table: "a:1 d:1"}, {do: "b+", table: "b:1 d:1", said: "b down>up (checks passed); pool up>up (panic guard ended: healthy weight 2, at least 2 have to stay)"}})
		// Without memory the table tells: the dead ones that serve are proven dead again.
		next, changes = NewPool(guarded(), p.Entry(), nil, t0)
		play(t, next, changes, t0, []step{{table: "a:1 d:1"},
			{do: "a-", table: "d:1", said: "a unknown>down (check failed: tcp: refused)"},
			{do: "b-", table: "d:1", said: "b unknown>down (check failed: tcp: refused)"},
			{do: "d+", table: "d:1", said: "d unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
			{do: "c-", table: "c:1 d:1", said: "c unknown>down (check failed: tcp: refused; the panic guard keeps it in service); " + began("1", "c")},
		})
	})
}
