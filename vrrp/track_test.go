package vrrp

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDebounceHonoursRiseAndFallFromTheFirstResult(t *testing.T) {
	for _, tc := range []struct {
		name       string
		rise, fall int
		results    string // + success, - failure
		want       string // u, d or ? after each
	}{
		{"one is enough", 1, 1, "+-+-", "udud"},
		{"three failures", 1, 3, "+--+---", "uuuuuud"},
		{"two successes from the start", 2, 1, "+-++", "?ddu"},
		{"unknown until a run is complete", 2, 2, "+-+-++", "?????u"},
		{"a success breaks a run of failures", 1, 2, "+-+-+--", "uuuuuud"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := Debounce{Rise: tc.rise, Fall: tc.fall}
			got := ""
			for _, r := range tc.results {
				before := d.Verdict()
				changed := d.Step(r == '+')
				if changed != (before != d.Verdict()) {
					t.Errorf("Step says changed=%v from %v to %v", changed, before, d.Verdict())
				}
				got += map[Verdict]string{Unknown: "?", Up: "u", Down: "d"}[d.Verdict()]
			}
			if got != tc.want {
				t.Errorf("%s gives %s, want %s", tc.results, got, tc.want)
			}
		})
	}
}

func TestEffectivePriority(t *testing.T) {
	for _, tc := range []struct {
		name  string
		base  uint8
		terms []Term
		want  uint8
	}{
		{"none", 100, nil, 100},
		{"negative counts while down", 100, []Term{{Weight: -20, Verdict: Down}}, 80},
		{"negative is silent while up", 100, []Term{{Weight: -20, Verdict: Up}}, 100},
		{"positive counts while up", 100, []Term{{Weight: 20, Verdict: Up}}, 120},
		{"positive is silent while down", 100, []Term{{Weight: 20, Verdict: Down}}, 100},
		{"unknown never counts", 100, []Term{{Weight: 20, Verdict: Unknown}, {Weight: -20, Verdict: Unknown}}, 100},
		{"sum", 100, []Term{{Weight: 20, Verdict: Up}, {Weight: -50, Verdict: Down}}, 70},
		{"not below 1", 10, []Term{{Weight: -253, Verdict: Down}}, 1},
		{"not above 254", 250, []Term{{Weight: 100, Verdict: Up}}, 254},
		{"the owner is not moved", 255, []Term{{Weight: -100, Verdict: Down}}, 255},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := EffectivePriority(tc.base, tc.terms); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestDebounceResume(t *testing.T) {
	d := Debounce{Rise: 3, Fall: 2}
	d.Resume("down")
	if d.Verdict() != Down {
		t.Error("verdict not taken over")
	}
	d.Resume("nonsense")
	if d.Verdict() != Down {
		t.Error("an unknown name changed the verdict")
	}
	if d.Step(true); d.Verdict() != Down {
		t.Error("one success lifted a resumed verdict that needs three")
	}
}

func TestTermMeaning(t *testing.T) {
	for _, tc := range []struct {
		name  string
		term  Term
		value int
		fault bool
		open  bool
	}{
		{"down without weight", Term{Verdict: Down}, 0, true, false},
		{"up without weight", Term{Verdict: Up}, 0, false, false},
		{"unknown without weight", Term{}, 0, false, true},
		{"reversed, up without weight", Term{Reverse: true, Verdict: Up}, 0, true, false},
		{"reversed, down without weight", Term{Reverse: true, Verdict: Down}, 0, false, false},
		{"reversed, positive and up", Term{Weight: 20, Reverse: true, Verdict: Up}, -20, false, false},
		{"reversed, positive and down", Term{Weight: 20, Reverse: true, Verdict: Down}, 0, false, false},
		{"reversed, negative and down", Term{Weight: -20, Reverse: true, Verdict: Down}, 20, false, false},
		{"unknown with weight", Term{Weight: 20}, 0, false, false},
		{"a number", Term{Weight: 2, Numeric: true, Number: -15, Verdict: Down}, -30, false, false},
		{"a number reversed", Term{Weight: 2, Reverse: true, Numeric: true, Number: -15, Verdict: Down}, 30, false, false},
		{"the most that a number takes away", Term{Weight: 1, Numeric: true, Number: -253, Verdict: Down}, -253, false, false},
		{"a number that is a fault", Term{Weight: 1, Numeric: true, Number: -254, Verdict: Down}, -253, true, false},
		{"a number that adds too much", Term{Weight: 254, Numeric: true, Number: 2147483647, Verdict: Down}, 253, false, false},
		{"a number that overflows nothing", Term{Weight: 254, Numeric: true, Number: -2147483648, Verdict: Down}, -253, true, false},
		{"zero without weight", Term{Numeric: true, Verdict: Up}, 0, false, false},
		{"a number without weight", Term{Numeric: true, Number: 1, Verdict: Down}, 0, true, false},
		{"zero without weight, reversed", Term{Numeric: true, Reverse: true, Verdict: Up}, 0, true, false},
		{"a number not read yet", Term{Weight: 1, Numeric: true}, 0, false, true},
	} {
		if v, f, o := tc.term.Value(), tc.term.Fault(), tc.term.Open(); v != tc.value || f != tc.fault || o != tc.open {
			t.Errorf("%s: value %d, fault %v, open %v", tc.name, v, f, o)
		}
	}
}

// Whatever is tracked, the priority stays within 1..254 and does not depend on
// the order, the owner is never moved, and each term adds at most 253.
func TestEffectivePriorityProperties(t *testing.T) {
	term := rapid.Custom(func(t *rapid.T) Term {
		return Term{
			Weight:  rapid.IntRange(-254, 254).Draw(t, "weight"),
			Reverse: rapid.Bool().Draw(t, "reverse"),
			Verdict: Verdict(rapid.IntRange(0, int(numVerdicts)-1).Draw(t, "verdict")),
			Numeric: rapid.Bool().Draw(t, "numeric"),
			Number:  int(rapid.Int32().Draw(t, "number")),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		terms := rapid.SliceOfN(term, 0, 8).Draw(t, "terms")
		base := rapid.Uint8Range(1, 255).Draw(t, "base")
		got := EffectivePriority(base, terms)
		sum := int(base)
		for _, o := range terms {
			v := o.Value()
			if v < -254 || v > 254 || o.Numeric && (v < -253 || v > 253) {
				t.Fatalf("%+v adds %d", o, v)
			}
			if o.Fault() && o.Open() || o.Weight == 0 && v != 0 || o.Verdict == Unknown && (v != 0 || o.Fault()) {
				t.Fatalf("%+v adds %d, fault %v, open %v", o, v, o.Fault(), o.Open())
			}
			back := o
			if back.Reverse = !o.Reverse; !o.Numeric && back.Value() != -v {
				t.Fatalf("%+v adds %d, reversed %d", o, v, back.Value())
			}
			sum += v
		}
		switch {
		case base == PriorityOwner && got != PriorityOwner:
			t.Fatalf("the owner was moved to %d", got)
		case base != PriorityOwner && int(got) != min(max(sum, 1), 254):
			t.Fatalf("%d with %d is %d", base, sum-int(base), got)
		}
		for n := range len(terms) {
			turned := append(slices.Clone(terms[n:]), terms[:n]...)
			if again := EffectivePriority(base, turned); again != got {
				t.Fatalf("%d in another order, was %d", again, got)
			}
		}
	})
}
