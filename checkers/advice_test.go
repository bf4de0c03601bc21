package checkers

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// weighing makes every check of a pool one that may change weights.
func weighing(p *PoolConfig) {
	for i := range p.Servers {
		for j := range p.Servers[i].Checks {
			p.Servers[i].Checks[j].Weighs = true
		}
	}
}

func says(o Outcome, advice string, silent bool) Result {
	a := ParseAdvice(advice)
	a.Silent = silent
	return Result{Outcome: o, Text: advice, At: t0, Advice: a}
}

func TestAdvice(t *testing.T) {
	// Each step is a result of the agent of server a: p or f, or s for a word about
	// nothing but the weight, and its advice.
	for _, test := range []struct {
		name  string
		steps []string
		want  string
	}{
		{"percent", []string{"p 50%"}, "a:5 b:10"},
		{"a little is not nothing", []string{"p 1%"}, "a:1 b:10"},
		{"nothing", []string{"p 0%"}, "a:0 b:10"},
		{"more than all", []string{"p 250%"}, "a:25 b:10"},
		{"far more", []string{"p 10000000%"}, "a:1000000 b:10"},
		{"beyond all sense", []string{"p 4000000000000%"}, "a:214748365 b:10"},
		{"the last word counts", []string{"p 50%", "p 20%"}, "a:2 b:10"},
		{"no word leaves it", []string{"p 50%", "p"}, "a:5 b:10"},
		{"absolute", []string{"p =3"}, "a:3 b:10"},
		{"absolute zero", []string{"p =0"}, "a:0 b:10"},
		{"added", []string{"p +7"}, "a:17 b:10"},
		{"taken away", []string{"p -20"}, "a:0 b:10"},
		{"drain", []string{"p drain"}, "a:0 b:10"},
		{"drain, then a weight", []string{"p drain", "p 50%"}, "a:0 b:10"},
		{"drain, then ready", []string{"p 50% drain", "p ready"}, "a:5 b:10"},
		{"maintenance", []string{"p maint"}, "b:10"},
		{"maintenance, then up", []string{"p maint", "p"}, "b:10"},
		{"maintenance, then ready", []string{"p maint", "p ready"}, "a:10 b:10"},
		{"silence is well at first", []string{"s 50%"}, "a:5 b:10"},
		{"silence keeps down", []string{"p", "f", "s 50%"}, "b:10"},
		{"silence keeps up", []string{"f", "p", "s"}, "a:10 b:10"},
		{"down in maintenance", []string{"p maint", "f", "s ready"}, "b:10"},
		{"inconclusive says nothing", []string{"p 50%", "i 20% drain"}, "a:5 b:10"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, _ := NewPool(with(pool(server("a", 10, "agent"), server("b", 10)), weighing), nil, nil, t0)
			a := p.Servers()[0]
			for _, step := range test.steps {
				advice := step[min(2, len(step)):]
				o := map[byte]Outcome{'p': Pass, 'f': Fail, 's': Pass, 'i': Inconclusive}[step[0]]
				p.Step(t0, a, a.Checks[0], says(o, advice, step[0] == 's'))
			}
			if got := show(p.Entry()); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// What a change of weight reports, and what it does to the quorum.
func TestWeightChange(t *testing.T) {
	cfg := with(pool(server("a", 10, "agent"), server("b", 10)), weighing)
	cfg.Quorum = 15
	p, _ := NewPool(cfg, nil, nil, t0)
	a := p.Servers()[0]
	p.Step(t0, a, a.Checks[0], says(Pass, "", false))
	var got []string
	for _, advice := range []string{"80%", "80%", "drain", "ready 100%"} {
		for _, c := range p.Step(t0, a, a.Checks[0], says(Pass, advice, false)) {
			got = append(got, fmt.Sprintf("%s %s>%s %s", c.Server, c.From, c.To, c.Why()))
		}
	}
	want := []string{
		"a up>up weight changed: 8, was 10; agent says 80%",
		"a up>up weight changed: 0, was 8; agent says 80% drain",
		" up>down quorum lost: healthy weight 10, 15 needed",
		"a up>up weight changed: 10, was 0; agent says 100%",
		" down>up quorum gained: healthy weight 20, 15 needed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A process that starts without memory leaves the weight that it finds until the
// check has spoken, unless the check cannot have set it.
func TestFoundWeight(t *testing.T) {
	cfg := with(pool(server("a", 10, "agent")), weighing)
	p, _ := NewPool(cfg, read("a:4"), nil, t0)
	if got := show(p.Entry()); got != "a:4" {
		t.Errorf("found %s", got)
	}
	a := p.Servers()[0]
	p.Step(t0, a, a.Checks[0], Result{Outcome: Inconclusive})
	if got := show(p.Entry()); got != "a:4" {
		t.Errorf("after a result that says nothing: %s", got)
	}
	p.Step(t0, a, a.Checks[0], says(Pass, "60%", false))
	if got := show(p.Entry()); got != "a:6" {
		t.Errorf("after the first word: %s", got)
	}
	p, _ = NewPool(pool(server("a", 10, "tcp")), read("a:4"), nil, t0)
	if got := show(p.Entry()); got != "a:10" {
		t.Errorf("a check that has no say: %s", got)
	}
}

func TestAdviceText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Advice{
			Weighing: Weighing(rapid.IntRange(0, int(weighingCount)-1).Draw(t, "weighing")),
			Order:    Order(rapid.IntRange(0, int(orderCount)-1).Draw(t, "order")),
		}
		if a.Weighing != Keep {
			a.Value = rapid.IntRange(-70000, 70000).Draw(t, "value")
		}
		if got := ParseAdvice(a.String()); got != a {
			t.Fatalf("%q is read as %+v, it was %+v", a.String(), got, a)
		}
	})
	if got := ParseAdvice("x 12y% =z"); got != (Advice{}) {
		t.Errorf("nonsense is read as %+v", got)
	}
}

// The weights follow from the last words of each check alone, by exact arithmetic,
// through any history of results, reloads and restarts; and the sum that the quorum
// is judged by is that of the table.
func TestWeightsFollowFromTheLastWords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c"}
		weights := map[string]int{}
		last := map[string]Advice{} // by server and check
		make := func() PoolConfig {
			var servers []ServerConfig
			for _, n := range names {
				weights[n] = rapid.SampledFrom([]int{0, 1, 2, 7, 100, 100_000, maxWeight}).Draw(t, "weight")
				servers = append(servers, server(n, int32(weights[n]), "agent", "script"))
			}
			return with(pool(servers...), weighing)
		}
		cfg := make()
		p, _ := NewPool(cfg, nil, nil, t0)
		for _, s := range p.Servers() {
			for _, c := range s.Checks {
				p.Step(t0, s, c, says(Pass, "", false))
			}
		}
		want := func(n string) int32 {
			base, sum := big.NewRat(int64(weights[n]), 1), int64(0)
			var absolute []int
			drain := false
			for _, c := range []string{"agent", "script"} {
				a := last[n+c]
				drain = drain || a.Order == Drain
				switch a.Weighing {
				case Absolute:
					absolute = append(absolute, a.Value)
				case Additional:
					sum += int64(a.Value)
				}
			}
			if len(absolute) > 0 {
				base.SetInt64(int64(slices.Min(absolute)))
			}
			for _, c := range []string{"agent", "script"} {
				if a := last[n+c]; a.Weighing == Percent {
					base.Mul(base, big.NewRat(int64(a.Value), 100))
					up := new(big.Int).Add(base.Num(), new(big.Int).Sub(base.Denom(), big.NewInt(1)))
					base.SetInt64(min(up.Div(up, base.Denom()).Int64(), maxWeight))
				}
			}
			if drain {
				return 0
			}
			return int32(min(max(base.Num().Int64()+sum, 0), maxWeight))
		}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "action") {
			case 0:
				cfg = make()
				p.Apply(cfg, t0)
			case 1:
				entry := p.Entry()
				m := remember(p)
				for i, s := range p.Servers() {
					k := m.Servers[p.config.Servers[i].Key]
					for j, c := range s.Checks {
						k.Checks[j].Advice = ParseAdvice(c.Advice.String())
					}
				}
				p, _ = NewPool(cfg, entry, m, t0)
				if got := p.Entry().Dests; !maps.Equal(got, entry.Dests) {
					t.Fatalf("a restart makes %v of %v", got, entry.Dests)
				}
				for i, s := range p.Servers() {
					if s.State != Up {
						t.Fatalf("%s is %s after a restart", names[i], s.State)
					}
				}
			default:
				i := rapid.IntRange(0, len(names)-1).Draw(t, "server")
				s := p.Servers()[i]
				c := s.Checks[rapid.IntRange(0, 1).Draw(t, "check")]
				a := Advice{Weighing: Weighing(rapid.IntRange(0, 3).Draw(t, "weighing")), Value: rapid.IntRange(0, 300).Draw(t, "value"),
					Order: rapid.SampledFrom([]Order{NoOrder, Ready, Drain}).Draw(t, "order"), Silent: rapid.Bool().Draw(t, "silent")}
				if a.Weighing == Additional {
					a.Value -= 150
				}
				p.Step(t0, s, c, Result{Outcome: Pass, Advice: a})
				key := names[i] + string(c.Config.ID)
				now := last[key]
				if a.Weighing != Keep {
					now.Weighing, now.Value = a.Weighing, a.Value
				}
				switch a.Order {
				case Drain:
					now.Order = Drain
				case Ready:
					now.Order = NoOrder
				}
				last[key] = now
			}
			got, sum := map[string]int32{}, 0
			for i, s := range p.Servers() {
				if s.State != Up {
					t.Fatalf("%s is %s", names[i], s.State)
				}
				d, in := p.Entry().Dests[s.Config.Key]
				if !in {
					t.Fatalf("%s is not in the table", names[i])
				}
				got[names[i]] = d.Weight
				sum += int(d.Weight)
			}
			all := map[string]int32{"a": want("a"), "b": want("b"), "c": want("c")}
			if !maps.Equal(got, all) {
				t.Fatalf("weights %v, want %v; last words %+v", got, all, last)
			}
			if up := p.Weights().Up; up != sum {
				t.Fatalf("the quorum counts %d, the table %d", up, sum)
			}
		}
	})
}
