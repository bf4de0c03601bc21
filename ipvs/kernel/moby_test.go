package kernel

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	moby "github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
)

// moby/ipvs waits for ever for an answer that was lost. Whatever a call does,
// it ends in time, its outcome is said to be unknown, and the next call has a
// handle that works.
func TestMobyIsEndedInTime(t *testing.T) {
	logrus.SetOutput(io.Discard)
	h, err := moby.New("")
	if err != nil {
		t.Fatal(err)
	}
	k := &Kernel{conn: dialTest(t, silentFamily), moby: h}
	k.conn.timeout = 30 * time.Millisecond
	err = k.withMoby(func(h *moby.Handle) error {
		for {
			if _, err := h.GetServices(); err != nil {
				return nil // even a call that then claims success
			}
		}
	})
	if !errors.Is(err, errUnknownOutcome) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if k.moby == nil || k.moby == h {
		t.Fatal("there is no new handle")
	}
	if err := k.withMoby(func(h *moby.Handle) error { _, err := h.GetServices(); return err }); err != nil {
		t.Errorf("the new handle: %v", err)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if err := k.withMoby(func(*moby.Handle) error { return nil }); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
