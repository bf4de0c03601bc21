package netlab

import (
	"testing"
	"time"
)

// TestResetForgetsWhatIsUnderWay: on a busy machine a frame is read after a Reset that it passed before.
func TestResetForgetsWhatIsUnderWay(t *testing.T) {
	c := &Capture{}
	passed := time.Now()
	c.Reset()
	for _, f := range []Frame{{Time: passed.Add(-time.Millisecond)}, {Time: passed}, {Time: time.Now()}} {
		if err := c.keep(f); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.Frames(); len(got) != 1 {
		t.Errorf("%d frames after the reset, want the one that passed after it", len(got))
	}
}
