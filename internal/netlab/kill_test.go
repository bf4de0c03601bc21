package netlab_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"director/internal/netlab/labtest"
)

// TestKillAllAtOneBlow kills a host whose processes watch each other: none may live to tell of another's end.
func TestKillAllAtOneBlow(t *testing.T) {
	l := labtest.New(t, "blow")
	h := l.Host("a")
	for i := range 50 {
		seen := h.Path(fmt.Sprintf("seen%d", i))
		// The child reads from its parent, which waits for it.
		script := fmt.Sprintf("mkfifo %[1]s.fifo; { read x; echo orphan >%[1]s; } <%[1]s.fifo & exec 3>%[1]s.fifo; wait; echo widow >%[1]s", seen)
		l.Start(h, "family", "sh", "-c", script)
		l.Within(30*time.Second, "both run", func() bool { return len(h.Processes()) >= 2 })
		h.KillAll()
		if left := h.Processes(); len(left) != 0 {
			t.Fatalf("left: %v", left)
		}
		if text, err := os.ReadFile(seen); err == nil {
			t.Fatalf("round %d: a process saw the other one die: %s", i, text)
		}
	}
}
