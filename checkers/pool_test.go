package checkers

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"director/ipvs"
)

// dest returns the address of the server called a, b, c ...
func dest(name string) ipvs.DestKey {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, name[0] - 'a' + 1}), 80)
}

// server returns a server with one check for each label.
func server(name string, weight int32, checks ...string) ServerConfig {
	s := ServerConfig{Name: name, Key: dest(name), Dest: ipvs.Destination{Weight: weight}}
	for _, c := range checks {
		s.Checks = append(s.Checks, CheckConfig{ID: CheckID(c), Label: c, Thresholds: Thresholds{Rise: 1, Fall: 1}})
	}
	return s
}

func pool(servers ...ServerConfig) PoolConfig {
	return PoolConfig{
		Name:    "web",
		Service: ipvs.Service{Scheduler: "rr"}, Quorum: 1, Servers: servers,
	}
}

func with(p PoolConfig, change func(*PoolConfig)) PoolConfig {
	p.Servers = slices.Clone(p.Servers)
	change(&p)
	return p
}

func withSorry(p *PoolConfig) {
	p.Sorry = append(p.Sorry, server("s", 1))
}

func withInhibit(p *PoolConfig) {
	for i := range p.Servers {
		p.Servers[i].Inhibit = true
	}
}

// show writes the destinations of an entry as "a:1 b:0".
func show(e *ipvs.Entry) string {
	var words []string
	for _, k := range e.Keys() {
		words = append(words, fmt.Sprintf("%c:%d", 'a'+k.Addr().As4()[3]-1, e.Dests[k].Weight))
	}
	return strings.Join(words, " ")
}

// read makes an entry out of what show writes.
func read(text string) *ipvs.Entry {
	e := &ipvs.Entry{Service: ipvs.Service{Scheduler: "rr"}, Dests: map[ipvs.DestKey]ipvs.Destination{}}
	for _, word := range strings.Fields(text) {
		var weight int32
		if _, err := fmt.Sscanf(word[1:], ":%d", &weight); err != nil {
			panic(err)
		}
		e.Dests[dest(word)] = ipvs.Destination{Weight: weight}
	}
	return e
}

// tell writes changes as "a unknown>up (checks passed); pool ...".
func tell(changes []Change) string {
	var words []string
	for _, c := range changes {
		subject := c.Server
		if subject == "" {
			subject = "pool"
		}
		words = append(words, fmt.Sprintf("%s %s>%s (%s)", subject, c.From, c.To, c.Why()))
	}
	return strings.Join(words, "; ")
}

// result applies "a+" (every check of a passes), "a-" (they fail), "a/x-" (only
// check x).
func result(t *testing.T, p *Pool, now time.Time, text string) []Change {
	t.Helper()
	name, label, one := strings.Cut(text[:len(text)-1], "/")
	r := Result{Outcome: Pass, Text: "fine", At: now}
	if strings.HasSuffix(text, "-") {
		r = Result{Outcome: Fail, Text: "refused", At: now}
	}
	var changes []Change
	found := false
	for _, s := range p.All() {
		for _, c := range s.Checks {
			if s.Config.Name == name && (!one || c.Config.Label == label) {
				changes = append(changes, p.Step(now, s, c, r)...)
				found = true
			}
		}
	}
	if !found {
		t.Fatalf("no such check: %s", text)
	}
	return changes
}

func TestPool(t *testing.T) {
	ab := pool(server("a", 1, "tcp"), server("b", 2, "tcp"))
	type step struct {
		do    string      // results, as result reads them
		apply *PoolConfig // or a new configuration
		table string      // what should stand in the kernel
		said  string      // changes
	}
	tests := []struct {
		name  string
		cfg   PoolConfig
		have  string // what stands in the kernel at the start; "-" for no such service
		table string
		said  string
		steps []step
	}{
		{
			name: "new servers start outside", cfg: ab, have: "-", table: "",
			steps: []step{
				{do: "a+", table: "a:1", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
				{do: "b-", table: "a:1", said: "b unknown>down (check failed: tcp: refused)"},
				{do: "b+", table: "a:1 b:2", said: "b down>up (checks passed)"},
				{do: "a-", table: "b:2", said: "a up>down (check failed: tcp: refused)"},
				{do: "b-", table: "", said: "b up>down (check failed: tcp: refused); pool up>down (quorum lost: healthy weight 0, 1 needed)"},
			},
		},
		{
			name: "found in service: stay until proven dead", cfg: ab, have: "a:1 b:2", table: "a:1 b:2",
			steps: []step{
				{do: "a-", table: "b:2", said: "a unknown>down (check failed: tcp: refused)"},
				{do: "b+", table: "b:2", said: "b unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 2, 1 needed)"},
			},
		},
		{
			name: "found dead: stay out until proven alive", cfg: ab, have: "a:1", table: "a:1",
			steps: []step{{do: "b+", table: "a:1 b:2", said: "b unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 2, 1 needed)"}},
		},
		{
			name: "found with weight 0: keeps it until the verdict", cfg: ab, have: "a:0 b:5", table: "a:0 b:2",
			steps: []step{{do: "a-", table: "b:2", said: "a unknown>down (check failed: tcp: refused)"}},
		},
		{
			name: "configured with weight 0", cfg: pool(server("a", 0, "tcp"), server("b", 1, "tcp")), have: "a:0", table: "a:0",
			steps: []step{{do: "b+", table: "a:0 b:1", said: "b unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
				{do: "a-", table: "b:1", said: "a unknown>down (check failed: tcp: refused)"}},
		},
		{
			name: "stranger in our service", cfg: ab, have: "a:1 b:2 z:9", table: "a:1 b:2",
		},
		{
			name: "no checks: always up", cfg: pool(server("a", 1)), have: "-", table: "a:1",
			said: "a unknown>up (no checks configured); pool unknown>up (quorum gained: healthy weight 1, 1 needed)",
		},
		{
			name: "no servers", cfg: pool(), have: "-", table: "", said: "pool unknown>down (quorum lost: healthy weight 0, 1 needed)",
		},
		{
			name: "several checks: up when all are, down when one is", cfg: pool(server("a", 1, "tcp", "http")), have: "-", table: "",
			steps: []step{
				{do: "a/tcp+", table: ""},
				{do: "a/http+", table: "a:1", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
				{do: "a/http-", table: "", said: "a up>down (check failed: http: refused); pool up>down (quorum lost: healthy weight 0, 1 needed)"},
				{do: "a/tcp-", table: ""},
				{do: "a/http+", table: ""},
				{do: "a/tcp+", table: "a:1", said: "a down>up (checks passed); pool down>up (quorum gained: healthy weight 1, 1 needed)"},
			},
		},
		{
			name: "inhibit: weight 0 instead of removal", cfg: with(ab, withInhibit), have: "-", table: "",
			steps: []step{
				{do: "a+", table: "a:1", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
				{do: "b-", table: "a:1 b:0", said: "b unknown>down (check failed: tcp: refused)"},
				{do: "a-", table: "a:0 b:0", said: "a up>down (check failed: tcp: refused); pool up>down (quorum lost: healthy weight 0, 1 needed)"},
			},
		},
		{
			name: "sorry server", cfg: with(ab, withSorry), have: "-", table: "",
			steps: []step{
				{do: "a-", table: "", said: "a unknown>down (check failed: tcp: refused)"},
				{do: "b-", table: "s:1", said: "b unknown>down (check failed: tcp: refused); pool unknown>sorry (quorum lost: healthy weight 0, 1 needed)"},
				{do: "b+", table: "b:2", said: "b down>up (checks passed); pool sorry>up (quorum gained: healthy weight 2, 1 needed)"},
			},
		},
		{
			name: "sorry server found in service", cfg: with(ab, withSorry), have: "s:1", table: "s:1",
			steps: []step{{do: "a+", table: "a:1", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"}},
		},
		{
			name: "sorry server found beside a serving one", cfg: with(ab, withSorry), have: "a:1 s:1", table: "a:1",
		},
		{
			name: "sorry server with a quorum and inhibit: the rest is quiesced",
			cfg:  with(ab, func(p *PoolConfig) { withSorry(p); withInhibit(p); p.Quorum = 3 }), have: "a:1 b:2", table: "a:1 b:2",
			steps: []step{
				{do: "a+", table: "a:1 b:2", said: "a unknown>up (checks passed)"},
				{do: "b+", table: "a:1 b:2", said: "b unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 3, 3 needed)"},
				{do: "a-", table: "a:0 b:0 s:1", said: "a up>down (check failed: tcp: refused); pool up>sorry (quorum lost: healthy weight 2, 3 needed)"},
			},
		},
		{
			name: "without a sorry server the healthy serve on without a quorum", cfg: with(ab, func(p *PoolConfig) { p.Quorum = 3 }), have: "a:1 b:2", table: "a:1 b:2",
			steps: []step{
				{do: "a-", table: "b:2", said: "a unknown>down (check failed: tcp: refused); pool unknown>down (quorum lost: healthy weight 2, 3 needed)"},
				{do: "b+", table: "b:2", said: "b unknown>up (checks passed)"},
			},
		},
		{
			name: "reload: a new server starts outside, the others stay", cfg: ab, have: "-", table: "",
			steps: []step{
				{do: "a+", table: "a:1", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
				{apply: new(pool(server("c", 1, "tcp"), server("a", 7, "tcp"))), table: "a:7"},
				{do: "c+", table: "a:7 c:1", said: "c unknown>up (checks passed)"},
			},
		},
		{
			name: "reload: a new check of a healthy server does not take it out", cfg: pool(server("a", 1, "tcp")), have: "a:1", table: "a:1",
			steps: []step{
				{do: "a+", table: "a:1", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
				{apply: new(pool(server("a", 1, "tcp", "http"))), table: "a:1"},
				{do: "a/http-", table: "", said: "a up>down (check failed: http: refused); pool up>down (quorum lost: healthy weight 0, 1 needed)"},
				{apply: new(pool(server("a", 1, "tcp"))), table: "a:1", said: "a down>up (checks passed); pool down>up (quorum gained: healthy weight 1, 1 needed)"},
			},
		},
		{
			name: "reload: a sick server's new check does not bring it in", cfg: pool(server("a", 1, "tcp")), have: "-", table: "",
			steps: []step{
				{do: "a-", table: "", said: "a unknown>down (check failed: tcp: refused); pool unknown>down (quorum lost: healthy weight 0, 1 needed)"},
				{apply: new(pool(server("a", 1, "http"))), table: ""},
				{do: "a+", table: "a:1", said: "a down>up (checks passed); pool down>up (quorum gained: healthy weight 1, 1 needed)"},
			},
		},
		{
			name: "reload: checks removed", cfg: pool(server("a", 1, "tcp")), have: "-", table: "",
			steps: []step{
				{do: "a-", table: "", said: "a unknown>down (check failed: tcp: refused); pool unknown>down (quorum lost: healthy weight 0, 1 needed)"},
				{apply: new(pool(server("a", 1))), table: "a:1", said: "a down>up (no checks configured); pool down>up (quorum gained: healthy weight 1, 1 needed)"},
			},
		},
		{
			name: "reload: the sorry server comes, goes, and the quorum changes", cfg: pool(server("a", 1, "tcp")), have: "-", table: "",
			steps: []step{
				{do: "a+", table: "a:1", said: "a unknown>up (checks passed); pool unknown>up (quorum gained: healthy weight 1, 1 needed)"},
				{apply: new(with(pool(server("a", 1, "tcp")), func(p *PoolConfig) { p.Quorum = 2 })), table: "a:1", said: "pool up>down (quorum lost: healthy weight 1, 2 needed)"},
				{apply: new(with(pool(server("a", 1, "tcp")), func(p *PoolConfig) { p.Quorum = 2; withSorry(p) })), table: "s:1", said: "pool down>sorry (sorry server changed: healthy weight 1, 2 needed)"},
				{apply: new(with(pool(server("a", 1, "tcp")), func(p *PoolConfig) { p.Quorum = 2 })), table: "a:1", said: "pool sorry>down (sorry server changed: healthy weight 1, 2 needed)"},
				{apply: new(with(pool(server("a", 1, "tcp")), withSorry)), table: "a:1", said: "pool down>up (quorum gained: healthy weight 1, 1 needed)"},
			},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var have *ipvs.Entry
			if test.have != "-" {
				have = read(test.have)
			}
			now := t0
			p, changes := NewPool(test.cfg, have, nil, now)
			if got := show(p.Entry()); got != test.table {
				t.Errorf("at the start: table %q, want %q", got, test.table)
			}
			if got := tell(changes); got != test.said {
				t.Errorf("at the start: said %q\nwant %q", got, test.said)
			}
			for i, s := range test.steps {
				now = now.Add(time.Second)
				var changes []Change
				if s.apply != nil {
					changes = p.Apply(*s.apply, now)
				} else {
					changes = result(t, p, now, s.do)
				}
				if got := show(p.Entry()); got != s.table {
					t.Errorf("step %d %s: table %q, want %q", i, s.do, got, s.table)
				}
				if got := tell(changes); got != s.said {
					t.Errorf("step %d %s: said %q\nwant %q", i, s.do, got, s.said)
				}
			}
			if got := p.Entry().Service; got != test.cfg.Service {
				t.Errorf("service %+v, want %+v", got, test.cfg.Service)
			}
		})
	}
}

func TestApplyKeepsValues(t *testing.T) {
	p, _ := NewPool(pool(server("a", 1, "tcp", "tcp", "http"), server("b", 1, "tcp")), nil, nil, t0)
	result(t, p, t0, "a+")
	a, checks := p.Servers()[0], slices.Clone(p.Servers()[0].Checks)
	later := t0.Add(time.Hour)
	next := pool(server("b", 1, "tcp"), server("a", 3, "http", "tcp", "dns"))
	next.Servers[1].Name = "renamed"
	next.Servers[1].Checks[0].Fall = 9
	p.Apply(next, later)
	got := p.Servers()[1]
	if got != a || got.Checks[0] != checks[2] || got.Checks[1] != checks[0] {
		t.Fatal("values were replaced")
	}
	if got.Config.Name != "renamed" || got.Config.Dest.Weight != 3 || got.Checks[0].Health.Fall != 9 {
		t.Errorf("settings did not change: %+v", got.Config)
	}
	if got.State != Up || !got.Since.Equal(t0) || got.Checks[0].Health.Passed != 1 || got.Checks[0].Last.Text != "fine" {
		t.Errorf("state was lost: %+v", got)
	}
	if got.Checks[2].Health.State != Unknown {
		t.Error("a new check has a state")
	}
}

func TestPending(t *testing.T) {
	p, _ := NewPool(pool(server("a", 1, "tcp"), server("b", 1, "tcp"), server("c", 1, "tcp"), server("d", 0, "tcp")), read("a:1 b:0 d:0"), nil, t0)
	result(t, p, t0, "c-")
	for i, want := range []bool{false, true, false, false} {
		if got := p.Pending(p.Servers()[i]); got != want {
			t.Errorf("server %d: pending = %v", i, got)
		}
	}
}

func TestMemory(t *testing.T) {
	since := t0.Add(-time.Hour)
	known := func(state State, checks ...CheckMemory) ServerMemory {
		return ServerMemory{State: state, Since: since, Reason: "as before", Checks: checks}
	}
	tcp := func(state State) CheckMemory {
		return CheckMemory{Label: "tcp", State: state, Passed: 5, Failed: 2, Last: Result{Text: "old", At: since}}
	}
	two := pool(server("a", 1, "tcp"), server("b", 1, "tcp"))
	tests := []struct {
		name   string
		cfg    PoolConfig
		have   string
		memory Memory
		want   string // pool, a, b
		table  string
	}{
		{"as it was", two, "a:1", Memory{State: Up, Servers: map[ipvs.DestKey]ServerMemory{dest("a"): known(Up, tcp(Up)), dest("b"): known(Down, tcp(Down))}}, "up up down", "a:1"},
		{"the table says otherwise", two, "b:1", Memory{State: Up, Servers: map[ipvs.DestKey]ServerMemory{dest("a"): known(Up, tcp(Up)), dest("b"): known(Down, tcp(Down))}}, "up unknown unknown", "b:1"},
		{"nothing known of one", two, "a:1", Memory{State: Up, Servers: map[ipvs.DestKey]ServerMemory{dest("a"): known(Up, tcp(Up))}}, "up up unknown", "a:1"},
		{"a server that was not decided", two, "a:1", Memory{State: Up, Servers: map[ipvs.DestKey]ServerMemory{dest("a"): known(Unknown, tcp(Unknown))}}, "up unknown unknown", "a:1"},
		{"sorry", with(two, func(p *PoolConfig) { withSorry(p); p.Quorum = 2 }), "s:1", Memory{State: Sorry, Servers: map[ipvs.DestKey]ServerMemory{dest("a"): known(Up, tcp(Up)), dest("b"): known(Down, tcp(Down))}}, "sorry up down", "s:1"},
		{"sorry, but it does not serve", with(two, withSorry), "", Memory{State: Sorry}, "unknown unknown unknown", ""},
		{"down", two, "", Memory{State: Down, Servers: map[ipvs.DestKey]ServerMemory{dest("a"): known(Down, tcp(Down)), dest("b"): known(Down, tcp(Down))}}, "down down down", ""},
		{"up, but the table is empty", two, "", Memory{State: Up, Servers: map[ipvs.DestKey]ServerMemory{dest("a"): known(Up, tcp(Up))}}, "unknown unknown unknown", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.memory.Since, test.memory.Reason = since, "pool as before"
			p, changes := NewPool(test.cfg, read(test.have), &test.memory, t0)
			if len(changes) != 0 {
				t.Errorf("said %s", tell(changes))
			}
			state, poolSince, reason := p.State()
			a, b := p.Servers()[0], p.Servers()[1]
			if got := fmt.Sprint(state, " ", a.State, " ", b.State); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if got := show(p.Entry()); got != test.table {
				t.Errorf("table %q, want %q", got, test.table)
			}
			if state != Unknown && (!poolSince.Equal(since) || reason != "pool as before") {
				t.Errorf("pool since %s because of %q", poolSince, reason)
			}
			if a.State != Unknown {
				if c := a.Checks[0]; !a.Since.Equal(since) || a.Why() != "as before" || c.Health.Passed != 5 || c.Last.Text != "old" || c.Health.State != a.State {
					t.Errorf("server since %s because of %q, check %+v", a.Since, a.Why(), c)
				}
			}
		})
	}
}
