package checkers

import "testing"

func TestQuorum(t *testing.T) {
	type step struct {
		w    Weights
		want State
	}
	up := func(n int, want State) step { return step{Weights{Up: n}, want} }
	tests := []struct {
		name string
		q    Quorum
		step []step
	}{
		{"defaults", Quorum{Need: 1, State: Down}, []step{up(0, Down), up(1, Up), up(5, Up), up(1, Up), up(0, Down)}},
		{"weight 0 never is a quorum", Quorum{Need: 0, State: Down}, []step{up(0, Down), up(1, Up), up(0, Down)}},
		{"hysteresis", Quorum{Need: 5, Hysteresis: 2, State: Down},
			[]step{up(5, Down), up(6, Down), up(7, Up), up(5, Up), up(3, Up), up(2, Down), up(6, Down), up(7, Up)}},
		{"hysteresis beyond the quorum", Quorum{Need: 2, Hysteresis: 5, State: Up}, []step{up(1, Up), up(0, Down), up(6, Down), up(7, Up)}},
		{"start: not decided while the missing verdicts matter", Quorum{Need: 2},
			[]step{{Weights{Pending: 3}, Unknown}, {Weights{Up: 1, Pending: 2}, Unknown}, {Weights{Up: 2, Pending: 1}, Up}}},
		{"start: lost as soon as it cannot be gained", Quorum{Need: 2}, []step{{Weights{Pending: 3}, Unknown}, {Weights{Pending: 1}, Down}}},
		{"start: no servers", Quorum{Need: 1}, []step{{Weights{}, Down}}},
		{"start: gaining needs the hysteresis", Quorum{Need: 2, Hysteresis: 1}, []step{{Weights{Up: 2, Pending: 1}, Unknown}, {Weights{Up: 3}, Up}}},
		{"found serving: keeping is enough", Quorum{Need: 3, Hysteresis: 1, Serving: true}, []step{{Weights{Up: 1, Held: 1}, Unknown}, {Weights{Up: 2}, Up}}},
		{"found serving: all dead", Quorum{Need: 1, Serving: true}, []step{{Weights{Held: 2}, Unknown}, {Weights{Held: 1}, Unknown}, {Weights{}, Down}}},
		{"up: servers without a verdict count while they serve", Quorum{Need: 2, State: Up}, []step{{Weights{Up: 1, Held: 1}, Up}, {Weights{Up: 1, Pending: 1}, Down}}},
		{"down: only the healthy count", Quorum{Need: 2, State: Down}, []step{{Weights{Up: 1, Held: 5, Pending: 5}, Down}, {Weights{Up: 2}, Up}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := test.q
			for i, s := range test.step {
				before := q.State
				if changed := q.Step(s.w); changed != (before != q.State) {
					t.Errorf("step %d: changed = %v from %s to %s", i, changed, before, q.State)
				}
				if q.State != s.want {
					t.Fatalf("step %d, %+v: %s, want %s", i, s.w, q.State, s.want)
				}
				if q.Step(s.w) {
					t.Errorf("step %d: the same weights again changed the state to %s", i, q.State)
				}
			}
		})
	}
}
