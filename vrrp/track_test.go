package vrrp

import "testing"

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
