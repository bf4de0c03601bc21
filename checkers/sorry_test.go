package checkers

import (
	"testing"
	"time"
)

// step is one thing that happens to a pool, the table after it and what is told.
type step struct {
	do    string        // a result, as result reads it
	apply *PoolConfig   // or a new configuration
	after time.Duration // or time that passes; 1s with the others
	table string
	said  string
}

// play runs steps on a pool and returns it as it is then.
func play(t *testing.T, p *Pool, changes []Change, now time.Time, steps []step) *Pool {
	t.Helper()
	for i, s := range steps {
		switch {
		case i == 0 && s.do == "" && s.apply == nil && s.after == 0: // the beginning
		case s.apply != nil:
			now = now.Add(time.Second)
			changes = p.Apply(*s.apply, now)
		case s.do != "":
			now = now.Add(time.Second)
			changes = result(t, p, now, s.do)
		default:
			now = now.Add(s.after)
			changes, _ = p.Tick(now)
		}
		if got := show(p.Entry()); got != s.table {
			t.Errorf("step %d %s: table %q, want %q", i, s.do, got, s.table)
		}
		if got := tell(changes); got != s.said {
			t.Errorf("step %d %s: said %q\nwant %q", i, s.do, got, s.said)
		}
	}
	return p
}

const (
	aUp   = "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"
	aDown = "a up>down (check failed: tcp: refused)"
	aBack = "a down>up (checks passed); pool sorry>up (quorum gained: healthy weight 1, 1 needed)"
	lost  = "(quorum lost: healthy weight 0, 1 needed)"
)

func TestSorryServers(t *testing.T) {
	cfg := pool(server("a", 1, "tcp"))
	cfg.Sorry = []ServerConfig{server("s", 1, "tcp"), server("t", 1, "tcp"), server("u", 1)}
	inhibited := with(cfg, func(p *PoolConfig) {
		p.Sorry = []ServerConfig{server("s", 1, "tcp"), server("t", 1, "tcp")}
		p.Sorry[0].Inhibit, p.Sorry[1].Inhibit = true, true
	})
	checked := with(cfg, func(p *PoolConfig) { p.Sorry = p.Sorry[:2] })
	sick := func(t *testing.T, cfg PoolConfig) (*Pool, []Change) {
		p, _ := NewPool(cfg, nil, nil, t0)
		result(t, p, t0, "a+")
		return p, result(t, p, t0, "a-")
	}

	t.Run("by preference, among those that are well", func(t *testing.T) {
		p, changes := sick(t, cfg)
		play(t, p, changes, t0, []step{
			{table: "u:1", said: aDown + "; pool up>sorry " + lost},
			{do: "t+", table: "t:1", said: "t unknown>up (checks passed); pool sorry>sorry (sorry server changed: t answers, before it was u)"},
			{do: "s+", table: "s:1", said: "s unknown>up (checks passed); pool sorry>sorry (sorry server changed: s answers, before it was t)"},
			{do: "t-", table: "s:1", said: "t up>down (check failed: tcp: refused)"},
			{do: "s-", table: "u:1", said: "s up>down (check failed: tcp: refused); pool sorry>sorry (sorry server changed: u answers, before it was s)"},
			{do: "a+", table: "a:1", said: aBack},
		})
	})
	t.Run("none is well: the pool serves on with what it has", func(t *testing.T) {
		two := with(checked, func(p *PoolConfig) { p.Servers = append(p.Servers, server("b", 1, "tcp")); p.Quorum = 2 })
		p, _ := NewPool(two, nil, nil, t0)
		result(t, p, t0, "a+")
		result(t, p, t0, "b+")
		play(t, p, result(t, p, t0, "b-"), t0, []step{
			{table: "a:1", said: "b up>down (check failed: tcp: refused); pool up>down (quorum lost: healthy weight 1, 2 needed)"},
			{do: "t+", table: "t:1", said: "t unknown>up (checks passed); pool down>sorry (sorry server changed: healthy weight 1, 2 needed)"},
			{do: "t-", table: "a:1", said: "t up>down (check failed: tcp: refused); pool sorry>down (sorry server changed: healthy weight 1, 2 needed)"},
		})
	})
	t.Run("inhibit: weight 0 while it does not answer", func(t *testing.T) {
		p, _ := NewPool(inhibited, nil, nil, t0)
		play(t, p, result(t, p, t0, "a+"), t0, []step{
			{table: "a:1 s:0 t:0", said: aUp},
			{do: "t+", table: "a:1 s:0 t:0", said: "t unknown>up (checks passed)"},
			{do: "a-", table: "s:0 t:1", said: aDown + "; pool up>sorry " + lost},
			{do: "a+", table: "a:1 s:0 t:0", said: aBack},
		})
	})
	t.Run("the one that was found answers until it is proven dead", func(t *testing.T) {
		p, changes := NewPool(checked, read("t:1"), nil, t0)
		play(t, p, changes, t0, []step{
			{table: "t:1"},
			{do: "a-", table: "t:1", said: "a unknown>down (check failed: tcp: refused); pool unknown>sorry " + lost},
			{do: "t-", table: "", said: "t unknown>down (check failed: tcp: refused); pool sorry>down (sorry server changed: healthy weight 0, 1 needed)"},
		})
	})
	t.Run("one with weight 0 was not answering", func(t *testing.T) {
		p, changes := NewPool(inhibited, read("s:0"), nil, t0)
		play(t, p, changes, t0, []step{{table: "s:0 t:0"}, {do: "a+", table: "a:1 s:0 t:0", said: aUp}})
	})
	t.Run("reload: another order, another list", func(t *testing.T) {
		p, changes := sick(t, cfg)
		play(t, p, changes, t0, []step{
			{table: "u:1", said: aDown + "; pool up>sorry " + lost},
			{apply: new(with(cfg, func(p *PoolConfig) { p.Sorry = []ServerConfig{server("v", 1), server("u", 1)} })), table: "v:1",
				said: "pool sorry>sorry (sorry server changed: v answers, before it was u)"},
			{apply: new(with(cfg, func(p *PoolConfig) { p.Sorry = nil })), table: "", said: "pool sorry>down (sorry server changed: healthy weight 0, 1 needed)"},
		})
	})
	t.Run("waits for its first verdict", func(t *testing.T) {
		p, _ := NewPool(checked, nil, nil, t0)
		s := p.SorryServers()[0]
		if !p.Pending(s) {
			t.Error("it is in no hurry")
		}
		if result(t, p, t0, "s+"); p.Pending(s) || p.Answers() != nil {
			t.Error("it still is")
		}
	})
}

// A server that starts in service serves unproven, is probed in a hurry, and is out
// with its first verdict against it.
func TestStartsIn(t *testing.T) {
	cfg := with(pool(server("a", 1, "tcp"), server("b", 1, "tcp")), func(p *PoolConfig) { p.Servers[0].StartsIn = true })
	p, changes := NewPool(cfg, nil, nil, t0)
	if !p.Pending(p.Servers()[0]) {
		t.Error("it is in no hurry")
	}
	play(t, p, changes, t0, []step{
		{table: "a:1"},
		{do: "a-", table: "", said: "a unknown>down (check failed: tcp: refused)"},
		{do: "b-", table: "", said: "b unknown>down (check failed: tcp: refused); pool unknown>down " + lost},
		{apply: new(with(cfg, func(p *PoolConfig) {
			p.Servers = append(p.Servers, server("c", 1, "tcp"))
			p.Servers[2].StartsIn = true
		})), table: "c:1"},
		{do: "c-", table: "", said: "c unknown>down (check failed: tcp: refused)"},
	})
	// What a former process took out stays out.
	p, changes = NewPool(cfg, read("b:1"), nil, t0)
	play(t, p, changes, t0, []step{{table: "b:1"}})
}
