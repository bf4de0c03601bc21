package checkers

import (
	"testing"
	"time"
)

// A reload that changes the servers is no outage and no alarm: those who are gone from the
// configuration serve until the quorum is there without them, or can not come.
func TestReloadOfTheServersIsNoOutage(t *testing.T) {
	changed := func(change ...func(*PoolConfig)) PoolConfig {
		p := pool(server("c", 1, "tcp"), server("d", 1, "tcp"))
		p.Servers[0].VerdictWithin, p.Servers[1].VerdictWithin = time.Minute, time.Minute
		for _, f := range change {
			f(&p)
		}
		return p
	}
	quorum := func(n int) func(*PoolConfig) { return func(p *PoolConfig) { p.Quorum = n } }
	drains := func(p *PoolConfig) { p.DrainOnRemove = time.Hour }
	adds := func(p *PoolConfig) { p.Servers = append([]ServerConfig{server("a", 1, "tcp")}, p.Servers...) }
	type step struct {
		result string // "c+", "wait": until no verdict is waited for
		table  string
		state  State
		news   int // changes of the pool's own state
	}
	for name, tc := range map[string]struct {
		to    PoolConfig
		table string
		state State
		news  int
		steps []step
	}{
		"all are others":             {changed(), "a:1 b:1", Up, 0, []step{{"c+", "c:1", Up, 0}, {"d+", "c:1 d:1", Up, 0}}},
		"two are needed":             {changed(quorum(2)), "a:1 b:1", Up, 0, []step{{"c+", "a:1 b:1 c:1", Up, 0}, {"d+", "c:1 d:1", Up, 0}}},
		"two are needed, one is bad": {changed(quorum(2)), "a:1 b:1", Up, 0, []step{{"c+", "a:1 b:1 c:1", Up, 0}, {"d-", "c:1", Down, 1}}},
		"none is well":               {changed(), "a:1 b:1", Up, 0, []step{{"c-", "a:1 b:1", Up, 0}, {"d-", "", Down, 1}}},
		"no verdict comes":           {changed(), "a:1 b:1", Up, 0, []step{{"wait", "", Down, 1}}},
		"more are needed than come":  {changed(quorum(3)), "a:1 b:1", Down, 1, []step{{"c+", "a:1 b:1 c:1", Down, 0}, {"d+", "c:1 d:1", Down, 0}}},
		"a sorry server":             {changed(withSorry), "a:1 b:1", Up, 0, []step{{"c-", "a:1 b:1", Up, 0}, {"d-", "s:1", Sorry, 1}}},
		"they end in peace":          {changed(drains), "a:1 b:1", Up, 0, []step{{"c+", "a:0 b:0 c:1", Up, 0}}},
		"another address":            {changed(func(p *PoolConfig) { p.Moved = true }), "", Down, 1, []step{{"c+", "c:1", Up, 1}}},
		"a larger pool":              {changed(adds, quorum(3)), "a:1 b:1", Up, 0, []step{{"c+", "a:1 b:1 c:1", Up, 0}, {"d+", "a:1 c:1 d:1", Up, 0}}},
		"one is left":                {changed(adds), "a:1", Up, 0, []step{{"c+", "a:1 c:1", Up, 0}}},
		"the one that is left dies":  {changed(adds, quorum(2)), "a:1 b:1", Up, 0, []step{{"a-", "b:1", Up, 0}, {"c+", "b:1 c:1", Up, 0}, {"d+", "c:1 d:1", Up, 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := NewPool(pool(server("a", 1, "tcp"), server("b", 1, "tcp")), nil, nil, t0)
			for _, r := range []string{"a+", "b+"} {
				result(t, p, t0, r)
			}
			news := func(changes []Change) (n int) {
				for _, c := range changes {
					if c.Server == "" && c.From != c.To {
						n++
					}
				}
				return n
			}
			now := t0.Add(time.Second)
			check := func(when string, changes []Change, s step) {
				t.Helper()
				state, _, _ := p.State()
				if got := show(p.Entry()); got != s.table || state != s.state || news(changes) != s.news {
					t.Errorf("%s: table %q, %v, %s; want %q, %v, %d changes of the pool", when, got, state, tell(changes), s.table, s.state, s.news)
				}
			}
			check("at the reload", p.Apply(tc.to, now), step{"", tc.table, tc.state, tc.news})
			for _, s := range tc.steps {
				now = now.Add(time.Second)
				if s.result == "wait" {
					at, _ := p.Next()
					changes, _ := p.Tick(at)
					check(s.result, changes, s)
					continue
				}
				check(s.result, result(t, p, now, s.result), s)
			}
		})
	}
}

// Who serves for a moment more is told of, once, when that ends.
func TestRelieved(t *testing.T) {
	p, _ := NewPool(pool(server("a", 1, "tcp"), server("b", 0, "tcp")), nil, nil, t0)
	result(t, p, t0, "a+")
	next := pool(server("c", 1, "tcp"))
	next.Servers[0].VerdictWithin = time.Minute
	p.Apply(next, t0.Add(time.Second))
	if l := p.Leaving(); len(l) != 1 || !l[0].Serves() || !l[0].Deadline.Equal(t0.Add(time.Minute+time.Second)) {
		t.Fatalf("leaving %+v", l)
	}
	p.Apply(pool(server("a", 1, "tcp")), t0.Add(2*time.Second)) // back before anybody missed it
	if got := show(p.Entry()); got != "a:1" || len(p.Leaving()) != 0 || len(p.Relieved()) != 0 {
		t.Errorf("table %q, leaving %v", got, p.Leaving())
	}
	p.Apply(next, t0.Add(3*time.Second))
	p, _ = NewPool(next, p.Entry(), remember(p), t0.Add(4*time.Second)) // a new process goes on
	if state, _, _ := p.State(); state != Up || show(p.Entry()) != "a:1" {
		t.Errorf("after a restart: %v, table %q", state, show(p.Entry()))
	}
	result(t, p, t0.Add(5*time.Second), "c+")
	if l := p.Relieved(); len(l) != 1 || l[0].Name != "a" || len(p.Relieved()) != 0 || show(p.Entry()) != "c:1" {
		t.Errorf("relieved %v, table %q", l, show(p.Entry()))
	}
}
