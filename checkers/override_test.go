package checkers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"director/ipvs"
)

// order carries out "a drain", "b 50%", "a b ready": the last word is the override.
func order(t *testing.T, p *Pool, now time.Time, text string) []Change {
	t.Helper()
	words := strings.Fields(text)
	o, err := readOrder(words[len(words)-1])
	if err != nil && words[len(words)-1] != "ready" {
		t.Fatal(err)
	}
	var changes []Change
	for _, name := range words[:len(words)-1] {
		changes = append(changes, p.Order(named(t, p, name), o, now)...)
	}
	return changes
}

func named(t *testing.T, p *Pool, name string) *Server {
	t.Helper()
	for _, s := range p.Servers() {
		if s.Config.Name == name {
			return s
		}
	}
	t.Fatalf("no server %s", name)
	return nil
}

func TestOrders(t *testing.T) {
	ab := pool(server("a", 4, "tcp"), server("b", 2, "tcp"))
	agent := with(ab, func(p *PoolConfig) {
		p.Servers[0].Checks = []CheckConfig{{ID: "agent", Label: "agent", Weighs: true, Thresholds: Thresholds{Rise: 1, Fall: 1}}}
	})
	const gained = "; pool unknown>up (quorum gained: healthy weight 4, 1 needed)"
	up := []string{"a+", "b+"}
	tests := []struct {
		name  string
		cfg   PoolConfig
		steps []string // results, orders, "= table", "! what was said"
	}{
		{"drain keeps the server with weight 0", ab, []string{"a drain", "= a:0 b:2", "! ", "a ready", "= a:4 b:2", "! "}},
		{"a draining server that dies is taken out", ab, []string{"a drain", "a-", "= b:2", "! a up>down (check failed: tcp: refused)", "a+", "= a:0 b:2", "! a down>up (checks passed)"}},
		{"maintenance takes it out at once", ab, []string{"a maint", "= b:2", "a ready", "= a:4 b:2", "! "}},
		{"maintenance with inhibit", with(ab, withInhibit), []string{"a maint", "= a:0 b:2"}},
		{"maintenance: health is no news until its end", ab, []string{"a maint", "a-", "! ", "= b:2", "a ready", "! a up>down (check failed: tcp: refused)", "= b:2", "a+", "= a:4 b:2"}},
		{"maintenance: what is as before is no news", ab, []string{"a maint", "a-", "a+", "a ready", "! ", "= a:4 b:2"}},
		{"from drain to maintenance and back", ab, []string{"a drain", "a maint", "= b:2", "a drain", "= a:0 b:2"}},
		{"a weight", ab, []string{"a =10", "= a:10 b:2", "a 50%", "= a:2 b:2", "a 1%", "= a:1 b:2", "a 0%", "= a:0 b:2", "a ready", "= a:4 b:2"}},
		{"the last one: the quorum is lost", ab, []string{"a b drain", "= a:0 b:0", "! pool up>down (quorum lost: healthy weight 0, 1 needed)", "b ready", "= a:0 b:2", "! pool down>up (quorum gained: healthy weight 2, 1 needed)"}},
		{"the last one: the sorry server takes over, connections stay", with(ab, withSorry), []string{"b maint", "a drain", "= a:0 s:1", "! pool up>sorry (quorum lost: healthy weight 0, 1 needed)", "a ready", "= a:4"}},
		{"an agent's word counts on top", agent, []string{"a =10", "= a:10 b:2"}},
		{"a reload keeps the order", ab, []string{"a 50%", "b drain", "apply", "= a:4 b:0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := t0
			p, _ := NewPool(tt.cfg, nil, nil, now)
			if said := tell(append(result(t, p, now, up[0]), result(t, p, now, up[1])...)); !strings.Contains(said, gained) {
				t.Fatalf("at the start: %s", said)
			}
			var changes []Change
			for _, step := range tt.steps {
				now = now.Add(time.Second)
				switch kind, rest, _ := strings.Cut(step, " "); kind {
				case "=":
					if got := show(p.Entry()); got != rest {
						t.Errorf("table %q, want %q", got, rest)
					}
				case "!":
					if got := tell(changes); got != rest {
						t.Errorf("said %q, want %q", got, rest)
					}
				case "apply":
					cfg := with(tt.cfg, func(p *PoolConfig) { p.Servers[0].Dest.Weight = 8 })
					changes = p.Apply(cfg, now)
				default:
					if strings.HasSuffix(step, "+") || strings.HasSuffix(step, "-") {
						changes = result(t, p, now, step)
					} else {
						changes = order(t, p, now, step)
					}
				}
			}
		})
	}
}

func TestAdviceOnTopOfAnOrderedWeight(t *testing.T) {
	for _, tt := range []struct {
		override, advice string
		want             int32
	}{
		{"=10", "50%", 5}, {"=10", "=3", 10}, {"50%", "=3", 2}, {"50%", "50%", 1}, {"=10", "drain", 0}, {"=10", "+2", 12}, {"drain", "=3", 0}, {"maint", "+9", 0},
	} {
		p, _ := NewPool(pool(server("a", 4, "agent")), nil, nil, t0)
		s := p.Servers()[0]
		s.Checks[0].Config.Weighs = true
		p.Step(t0, s, s.Checks[0], Result{Outcome: Pass, Advice: ParseAdvice(tt.advice)})
		order(t, p, t0, "a "+tt.override)
		if got := s.Weight(); got != tt.want {
			t.Errorf("%s with an agent that says %s: weight %d, want %d", tt.override, tt.advice, got, tt.want)
		}
	}
}

// A new process goes on with what was ordered, whatever the table holds.
func TestOrdersSurviveARestart(t *testing.T) {
	ab := pool(server("a", 4, "tcp"), server("b", 2, "tcp"))
	for _, tt := range []struct{ have, override, then, table, ready string }{
		{"a:0 b:2", "drain", "", "a:0 b:2", "a:0 b:2"}, // not yet proven alive
		{"a:0 b:2", "drain", "a+", "a:0 b:2", "a:4 b:2"},
		{"a:4 b:2", "drain", "", "a:0 b:2", "a:4 b:2"}, // died before the kernel was told
		{"b:2", "maint", "", "b:2", "b:2"},
		{"b:2", "maint", "a+", "b:2", "a:4 b:2"},
		{"a:4 b:2", "maint", "", "b:2", "a:4 b:2"},
		{"a:9 b:2", "=9", "", "a:9 b:2", "a:4 b:2"},
		{"a:0 b:2", "=0", "a+", "a:0 b:2", "a:4 b:2"},
		{"-", "drain", "a+", "a:0", "a:4"},
	} {
		o, err := readOrder(tt.override)
		if err != nil {
			t.Fatal(err)
		}
		var have *ipvs.Entry
		if tt.have != "-" {
			have = read(tt.have)
		}
		p, _ := NewPool(ab, have, &Memory{Overrides: map[ipvs.DestKey]Override{dest("a"): o}}, t0)
		if tt.then != "" {
			result(t, p, t0, tt.then)
		}
		if got := show(p.Entry()); got != tt.table {
			t.Errorf("%s with %q in the table, %s: %q, want %q", tt.override, tt.have, tt.then, got, tt.table)
		}
		p.Order(named(t, p, "a"), Override{}, t0)
		if got := show(p.Entry()); got != tt.ready {
			t.Errorf("%s with %q in the table, %s, ready: %q, want %q", tt.override, tt.have, tt.then, got, tt.ready)
		}
	}
}

// Before there is a verdict, a server that drains keeps its place: one failure does
// not cut the connections of one that was found in the table, and one that was not
// there does not come.
func TestDrainBeforeTheVerdict(t *testing.T) {
	cfg := pool(server("a", 4, "tcp"), server("b", 2, "tcp"))
	cfg.Servers[0].Checks[0].Fall = 2
	drains := &Memory{Overrides: map[ipvs.DestKey]Override{dest("a"): {Order: Drain}}}
	for _, have := range []string{"a:4 b:2", "a:0 b:2", "b:2"} {
		p, _ := NewPool(cfg, read(have), drains, t0)
		want := "a:0 b:2"
		if have == "b:2" {
			want = have
		} else {
			result(t, p, t0, "a-")
		}
		if got := show(p.Entry()); got != want {
			t.Errorf("found %q: table %q, want %q", have, got, want)
		}
	}
}

func TestLoses(t *testing.T) {
	three := pool(server("a", 1, "tcp"), server("b", 1, "tcp"), server("c", 1, "tcp"))
	two := with(three, func(p *PoolConfig) { p.Quorum = 2 })
	for _, tt := range []struct {
		cfg    PoolConfig
		before []string
		orders string
		want   Loss
	}{
		{three, nil, "a drain", NoLoss},
		{three, nil, "a b maint", NoLoss},
		{three, nil, "a b c maint", LossLast},
		{three, nil, "a b c 10%", NoLoss},
		{three, nil, "a b c =0", LossLast},
		{three, []string{"b-", "c-"}, "a drain", LossLast},
		{three, []string{"b-", "c-"}, "b c maint", NoLoss},
		{three, []string{"a-", "b-", "c-"}, "a b c maint", NoLoss},
		{three, []string{"a b maint"}, "c drain", LossLast},
		{two, nil, "a drain", NoLoss},
		{two, nil, "a b drain", LossQuorum},
		{two, []string{"a drain"}, "b drain", LossQuorum},
		{two, []string{"a-"}, "a drain", NoLoss},
	} {
		p, _ := NewPool(tt.cfg, nil, nil, t0)
		for _, name := range []string{"a+", "b+", "c+"} {
			result(t, p, t0, name)
		}
		for _, b := range tt.before {
			if strings.HasSuffix(b, "-") {
				result(t, p, t0, b)
			} else {
				order(t, p, t0, b)
			}
		}
		words := strings.Fields(tt.orders)
		o, err := readOrder(words[len(words)-1])
		if err != nil {
			t.Fatal(err)
		}
		orders := map[*Server]Override{}
		for _, name := range words[:len(words)-1] {
			orders[named(t, p, name)] = o
		}
		table := show(p.Entry())
		if got := p.Loses(orders); got != tt.want {
			t.Errorf("%v, %s: loses %v, want %v", tt.before, tt.orders, got, tt.want)
		}
		if show(p.Entry()) != table {
			t.Errorf("%s: the question changed the table", tt.orders)
		}
	}
	// Servers that were found serving count before there is a verdict.
	p, _ := NewPool(three, read("a:1 b:1"), nil, t0)
	if got := p.Loses(map[*Server]Override{named(t, p, "a"): {Order: Drain}, named(t, p, "b"): {Order: Drain}}); got != LossLast {
		t.Errorf("servers without a verdict: loses %v", got)
	}
}

func TestLeaving(t *testing.T) {
	abc := with(pool(server("a", 4, "tcp"), server("b", 2, "tcp"), server("c", 1, "tcp")), func(p *PoolConfig) { p.DrainOnRemove = time.Minute })
	a := with(abc, func(p *PoolConfig) { p.Servers = p.Servers[:1] })
	p, _ := NewPool(abc, nil, nil, t0)
	result(t, p, t0, "a+")
	result(t, p, t0, "b+")
	result(t, p, t0, "c-")
	want := func(table string, leaving int) {
		t.Helper()
		if got := show(p.Entry()); got != table {
			t.Errorf("table %q, want %q", got, table)
		}
		if got := len(p.Leaving()); got != leaving {
			t.Errorf("%d leave, want %d", got, leaving)
		}
	}
	want("a:4 b:2", 0)
	p.Apply(a, t0.Add(time.Second))
	want("a:4 b:0", 1) // c was not in the table
	if l := p.Leaving()[0]; l.Name != "b" || !l.Deadline.Equal(t0.Add(61*time.Second)) {
		t.Errorf("leaving: %+v", l)
	}
	p.Apply(a, t0.Add(2*time.Second)) // a reload does not begin it again
	want("a:4 b:0", 1)
	left := p.Leaving()
	p.Apply(abc, t0.Add(3*time.Second))
	want("a:4 b:0", 0) // back, and keeps its connections while it is checked
	result(t, p, t0, "b+")
	want("a:4 b:2", 0)
	p.Apply(a, t0.Add(4*time.Second))
	p.Gone(dest("b"))
	want("a:4", 0)

	// A new process goes on with those that the table still holds.
	p, _ = NewPool(a, read("a:4 b:0"), &Memory{Leaving: left}, t0)
	want("a:4 b:0", 1)
	p, _ = NewPool(a, read("a:4"), &Memory{Leaving: left}, t0)
	want("a:4", 0)
	p, _ = NewPool(abc, read("a:4 b:0"), &Memory{Leaving: left}, t0)
	want("a:4 b:0", 0)

	// Without drain_on_remove a server goes at once.
	off := with(abc, func(p *PoolConfig) { p.DrainOnRemove = 0 })
	p, _ = NewPool(off, read("a:4 b:2"), nil, t0)
	p.Apply(with(a, func(p *PoolConfig) { p.DrainOnRemove = 0 }), t0)
	want("a:4", 0)
}

// readOrder reads "drain", "maint", "=10" or "50%".
func readOrder(text string) (Override, error) {
	a := ParseAdvice(text)
	o := Override{Order: a.Order, Weighing: a.Weighing, Value: a.Value}
	if text == "" || writeOrder(o) != text || o.Order == Ready || o.Weighing == Additional {
		return Override{}, fmt.Errorf("%q is no order", text)
	}
	return o, nil
}

// writeOrder writes an order as readOrder reads it.
func writeOrder(o Override) string {
	return Advice{Weighing: o.Weighing, Value: o.Value, Order: o.Order}.String()
}

func TestParseWeight(t *testing.T) {
	for text, want := range map[string]string{"10": "=10", "0": "drain", "0%": "drain", "50%": "50%", "1000%": "1000%", "2147483647": "=2147483647",
		"": "", "-1": "", "+1": "", "1001%": "", "x": "", "5 %": "", "2147483648": "", "1.5": ""} {
		o, err := ParseWeight(text)
		if (err == nil) != (want != "") || err == nil && writeOrder(o) != want {
			t.Errorf("weight %q was read as %v, %v, want %q", text, o, err, want)
		}
	}
}

func TestLossNames(t *testing.T) {
	for l := range lossCount {
		if strings.HasPrefix(l.String(), "loss(") {
			t.Errorf("loss %d has no name", l)
		}
	}
}

// An ordered weight is in force whatever absolute weight a check sets; shares and drains
// count on top of it, and the check's weight is back with the order's end.
func TestOrderedWeightAndAdvice(t *testing.T) {
	heavy := with(pool(server("a", 100_000, "script", "agent"), server("b", 10)), weighing)
	p, _ := NewPool(heavy, nil, nil, t0)
	a := p.Servers()[0]
	say := func(check int, advice string) { p.Step(t0, a, a.Checks[check], says(Pass, advice, false)) }
	expect := func(what string, want int32) {
		t.Helper()
		if got := a.Weight(); got != want {
			t.Errorf("%s: weight %d, want %d", what, got, want)
		}
	}
	say(0, "100%") // what a dynamic script means by exit status 0
	say(1, "")
	expect("the configured weight", 100_000)
	say(0, "=200")
	expect("the script's weight", 200)
	p.Order(a, Override{Weighing: Absolute, Value: 7}, t0)
	expect("ordered", 7)
	p.Order(a, Override{Weighing: Percent, Value: 50}, t0)
	expect("half of the file's", 50_000)
	say(1, "10%")
	expect("a tenth of that", 5000)
	say(1, "drain")
	expect("drained", 0)
	say(1, "100% ready")
	p.Order(a, Override{}, t0)
	expect("the script's weight again", 200)
}
