package kernel

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

// These tests speak to the real generic netlink of whatever kernel runs them;
// IPVS is not needed.

const (
	unknownFamily = 0x3ff // the kernel answers ENOENT to each message
	silentFamily  = unix.NLMSG_NOOP
	controller    = unix.GENL_ID_CTRL
	getFamily     = unix.CTRL_CMD_GETFAMILY
)

func dialTest(t *testing.T, family uint16) *conn {
	t.Helper()
	c, err := dial(family)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	return c
}

func someOps(n int) []ipvs.Op {
	ops := make([]ipvs.Op, n)
	for i := range ops {
		ops[i] = ipvs.Op{Kind: ipvs.DeleteDest, Key: ipvs.MarkService(1, ipvs.IPv4), DestKey: netip.MustParseAddrPort("10.0.0.1:80")}
	}
	return ops
}

func TestBatchGivesEachOperationItsError(t *testing.T) {
	c := dialTest(t, unknownFamily)
	for _, n := range []int{1, batchSize - 1, batchSize, batchSize + 1, 3*batchSize + 7} {
		errs := make([]error, n)
		c.batch(someOps(n), errs)
		for i, err := range errs {
			if !errors.Is(err, unix.ENOENT) {
				t.Fatalf("operation %d of %d: %v", i, n, err)
			}
		}
	}
}

// Of operations that succeed the kernel acknowledges the last of a batch only.
func TestBatchThatSucceeds(t *testing.T) {
	c := dialTest(t, silentFamily)
	for _, n := range []int{1, batchSize, 2*batchSize + 1} {
		errs := make([]error, n)
		c.batch(someOps(n), errs)
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	if c.stale {
		t.Error("answers are left over")
	}
}

func TestSequenceWrapsAround(t *testing.T) {
	c := dialTest(t, unknownFamily)
	c.seq = ^uint32(0) - 5
	errs := make([]error, 20)
	c.batch(someOps(20), errs)
	for i, err := range errs {
		if !errors.Is(err, unix.ENOENT) {
			t.Fatalf("operation %d: %v", i, err)
		}
	}
}

// A receive buffer that cannot hold the answers loses some. No operation
// without an answer may then pass for done, and the next exchange must work.
func TestLostAnswers(t *testing.T) {
	c := dialTest(t, unknownFamily)
	c.timeout = 100 * time.Millisecond
	c.raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1); err != nil {
			t.Error(err)
		}
	})
	errs := make([]error, batchSize)
	c.batch(someOps(batchSize), errs)
	known, lost := 0, 0
	for i, err := range errs {
		switch {
		case errors.Is(err, unix.ENOENT):
			known++
		case errors.Is(err, unix.ENOBUFS) && errors.Is(err, errUnknownOutcome):
			lost++
		default:
			t.Fatalf("operation %d: %v", i, err)
		}
	}
	if known == 0 || lost == 0 {
		t.Errorf("%d answers known, %d lost: the test wants some of both", known, lost)
	}
	one := make([]error, 1)
	c.batch(someOps(1), one)
	if !errors.Is(one[0], unix.ENOENT) {
		t.Errorf("afterwards: %v", one[0])
	}
}

func TestNoAnswerIsAnErrorInTime(t *testing.T) {
	c := dialTest(t, silentFamily)
	c.timeout = 50 * time.Millisecond
	begin := time.Now()
	err := c.call(cmdGetInfo, 0, nil, func(message) error { return nil })
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, errUnknownOutcome) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begin); d < c.timeout || d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
	// The same socket goes on, with another family: nothing is left over.
	c.family = unknownFamily
	if err := c.call(cmdGetInfo, unix.NLM_F_ACK, nil, func(message) error { return nil }); !errors.Is(err, unix.ENOENT) {
		t.Errorf("afterwards: %v", err)
	}
}

// Once the kernel does not answer, no more is sent to it.
func TestBatchStopsWhenNothingAnswers(t *testing.T) {
	c := dialTest(t, unknownFamily)
	c.timeout = 50 * time.Millisecond
	errs := make([]error, 3*batchSize)
	c.file.Close()
	c.batch(someOps(len(errs)), errs)
	for i, err := range errs {
		if !errors.Is(err, os.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) && err == nil {
			t.Fatalf("operation %d: %v", i, err)
		}
	}
	if c.seq != batchSize {
		t.Errorf("%d messages were made, want one batch", c.seq)
	}
}

// Anybody may send to our socket; only the kernel is believed.
func TestOtherSendersAreIgnored(t *testing.T) {
	c := dialTest(t, silentFamily)
	c.timeout = 200 * time.Millisecond
	var port uint32
	c.raw.Control(func(fd uintptr) {
		sa, err := unix.Getsockname(int(fd))
		if err != nil {
			t.Error(err)
			return
		}
		port = sa.(*unix.SockaddrNetlink).Pid
	})
	forger := dialTest(t, silentFamily)
	forged := make([]byte, 20) // a faultless acknowledgement of the next message
	native.PutUint32(forged, 20)
	native.PutUint16(forged[4:], unix.NLMSG_ERROR)
	native.PutUint32(forged[8:], c.seq+1)
	forger.raw.Control(func(fd uintptr) {
		if err := unix.Sendto(int(fd), forged, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: port}); err != nil {
			t.Error(err)
		}
	})
	if err := c.call(cmdGetInfo, 0, nil, func(message) error { return nil }); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a forged answer was believed: %v", err)
	}
}

// An error of the reader is returned, and the rest of the dump is read all the same.
func TestReaderThatFails(t *testing.T) {
	c := dialTest(t, controller)
	stop := errors.New("stop")
	n := 0
	if err := c.call(getFamily, unix.NLM_F_DUMP, nil, func(message) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("got %v after %d messages", err, n)
	}
	if c.stale {
		t.Error("answers are left over")
	}
	if err := c.call(getFamily, unix.NLM_F_DUMP, nil, func(message) error { n++; return nil }); err != nil || n < 4 {
		t.Errorf("got %v after %d messages", err, n)
	}
}

// A datagram that is cut off between two messages looks well, and is not.
func TestAnswerLongerThanTheBuffer(t *testing.T) {
	c := dialTest(t, controller)
	c.timeout = 100 * time.Millisecond
	first := 0
	err := c.call(getFamily, unix.NLM_F_DUMP, nil, func(m message) error {
		if first == 0 {
			first = (nlHeaderLen + len(m.body) + 3) &^ 3
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.in = make([]byte, first)
	if err := c.call(getFamily, unix.NLM_F_DUMP, nil, func(message) error { return nil }); !errors.Is(err, errMalformed) {
		t.Errorf("got %v", err)
	}
}
