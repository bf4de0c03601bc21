package checkers

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestHealth walks through the truth table of the package's description. A step
// is p(ass), f(ail) or i(nconclusive); want has the state after each: ?, U or D.
func TestHealth(t *testing.T) {
	tests := []struct {
		name       string
		state      State
		in         bool
		rise, fall int
		steps      string
		want       string
	}{
		{"new, good", Unknown, false, 2, 3, "pp", "?U"},
		{"new, bad at first", Unknown, false, 2, 3, "f", "D"},
		{"new, bad after a good one", Unknown, false, 2, 3, "pfpp", "?DDU"},
		{"new, rise 1", Unknown, false, 1, 3, "p", "U"},
		{"new, thresholds not set", Unknown, false, 0, 0, "pf", "UD"},
		{"found in service, good", Unknown, true, 2, 3, "p", "U"},
		{"found in service, bad", Unknown, true, 2, 3, "fff", "??D"},
		{"found in service, bad twice", Unknown, true, 2, 3, "ffp", "??U"},
		{"up, falls", Up, true, 2, 3, "fff", "UUD"},
		{"up, a good one between", Up, true, 2, 3, "ffpff", "UUUUU"},
		{"up, falls later", Up, true, 2, 3, "ffpfff", "UUUUUD"},
		{"up, out because of the sorry server", Up, false, 2, 3, "fff", "UUD"},
		{"down, rises", Down, false, 2, 3, "pp", "DU"},
		{"down, a bad one between", Down, false, 2, 3, "pfpp", "DDDU"},
		{"down, found in service", Down, true, 2, 3, "pp", "DU"},
		{"inconclusive counts for nothing", Down, false, 2, 3, "pip", "DDU"},
		{"inconclusive does not interrupt", Up, true, 2, 2, "fif", "UUD"},
		{"inconclusive alone", Unknown, false, 1, 1, "iii", "???"},
		{"there and back", Down, false, 2, 2, "ppffpp", "DUUDDU"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := Health{Thresholds: Thresholds{Rise: test.rise, Fall: test.fall}, State: test.state}
			var got strings.Builder
			now := t0
			for _, step := range test.steps {
				now = now.Add(time.Second)
				before := h.State
				changed := h.Step(now, map[rune]Outcome{'p': Pass, 'f': Fail, 'i': Inconclusive}[step], test.in)
				if changed != (h.State != before) {
					t.Errorf("changed = %v, but %s became %s", changed, before, h.State)
				}
				if changed && !h.Since.Equal(now) {
					t.Errorf("since %s, want %s", h.Since, now)
				}
				got.WriteByte("?UD"[h.State])
			}
			if got.String() != test.want {
				t.Errorf("got %s, want %s", got.String(), test.want)
			}
			if p, f := strings.Count(test.steps, "p"), strings.Count(test.steps, "f"); h.Passed != uint64(p) || h.Failed != uint64(f) {
				t.Errorf("counted %d and %d, want %d and %d", h.Passed, h.Failed, p, f)
			}
		})
	}
}

// However the results came, a long enough run of one sort decides.
func TestHealthConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Health{Thresholds: Thresholds{Rise: rapid.IntRange(0, 5).Draw(t, "rise"), Fall: rapid.IntRange(0, 5).Draw(t, "fall")}}
		in := rapid.Bool().Draw(t, "in")
		for _, o := range rapid.SliceOf(rapid.SampledFrom([]Outcome{Inconclusive, Pass, Fail})).Draw(t, "results") {
			h.Step(t0, o, in)
		}
		good := rapid.Bool().Draw(t, "good")
		last, want, n := Fail, Down, h.Fall
		if good {
			last, want, n = Pass, Up, h.Rise
		}
		for range max(n, 1) {
			h.Step(t0, last, in)
		}
		if h.State != want {
			t.Fatalf("%s after %d times %s", h.State, n, last)
		}
	})
}

func TestNames(t *testing.T) {
	check := func(kind string, n int, name func(int) string) {
		seen := map[string]bool{}
		for i := range n {
			s := name(i)
			if s == "" || strings.ContainsRune(s, '(') || seen[s] {
				t.Errorf("%s %d has the name %q", kind, i, s)
			}
			seen[s] = true
		}
		if s := name(n); !strings.ContainsRune(s, '(') {
			t.Errorf("%s %d, which does not exist, has the name %q", kind, n, s)
		}
	}
	check("state", int(stateCount), func(i int) string { return State(i).String() })
	check("outcome", int(outcomeCount), func(i int) string { return Outcome(i).String() })
	check("place", int(placeCount), func(i int) string { return Place(i).String() })
	check("weighing", int(weighingCount), func(i int) string { return Weighing(i).String() })
	check("order", int(orderCount)-1, func(i int) string { return Order(i + 1).String() })
	check("reason", int(reasonCount), func(i int) string { return Reason(i).String() })
	for s := range stateCount {
		if got, ok := ParseState(s.String()); !ok || got != s {
			t.Errorf("ParseState(%q) = %s, %v", s, got, ok)
		}
	}
	if _, ok := ParseState("nonsense"); ok {
		t.Error("nonsense is a state")
	}
}
