package watchdog

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
)

// wildest is the nice value that a process gets when the kernel refuses it a
// real-time priority.
const wildest = -20

// scheduling is how the kernel runs a process: what all its threads share.
type scheduling struct {
	rt   int // priority of SCHED_RR, 0: none
	nice int
	cpus unix.CPUSet // empty: unknown
}

// schedulingOf asks the kernel about a thread, 0 for the calling one.
func schedulingOf(tid int) (s scheduling, err error) {
	attr, err := unix.SchedGetAttr(tid, 0)
	if err != nil {
		return s, err
	}
	switch attr.Policy {
	case unix.SCHED_RR, unix.SCHED_FIFO:
		s.rt = int(attr.Priority)
	default:
		s.nice = int(attr.Nice)
	}
	return s, unix.SchedGetaffinity(tid, &s.cpus)
}

// wanted is what a configuration asks for a process of a daemon that was started
// with own.
func (own scheduling) wanted(c config.Process) scheduling {
	w := own
	if c.RTPriority > 0 {
		w.rt, w.nice = c.RTPriority, 0
	} else if c.Nice != 0 {
		w.rt, w.nice = 0, c.Nice
	}
	if list := config.CPUs(c.CPUAffinity); list != nil {
		w.cpus.Zero()
		for _, n := range list {
			w.cpus.Set(n)
		}
	}
	return w
}

// reschedule has the kernel run every thread of a process as the configuration
// says. A real-time priority that is refused becomes the nice value -20, and is an
// error all the same. What works is done also when something else does not.
//
// It is done from outside because there is no system call for all threads of a
// process, and threads inherit from the one that starts them: when a pass over the
// list of threads finds none that is different, none can come any more.
func reschedule(pid int, own scheduling, c config.Process) error {
	if own.cpus.Count() == 0 {
		return nil // this host does not say how its processes run; that has been told
	}
	want := own.wanted(c)
	var errs []error
	if c.RTPriority > 0 {
		if err := limitComputing(pid, c.RTTimeLimit.D()); err != nil {
			errs = append(errs, fmt.Errorf("limit its real-time computing: %w", err))
		}
	}
	refused := make(map[string]bool)
	try := func(what string, err error) bool {
		switch {
		case err == nil || errors.Is(err, unix.ESRCH): // the thread has ended
			return true
		case !refused[what]:
			refused[what] = true
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		return false
	}
	const passes = 20 // of which two or three are needed
	for range passes {
		threads, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		if err != nil {
			return fmt.Errorf("list its threads: %w", err)
		}
		changed := false
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			have, err := schedulingOf(tid)
			if err != nil {
				continue // the thread has ended
			}
			if have.rt != want.rt || have.nice != want.nice {
				changed = true
				if !try(fmt.Sprintf("give it %v", want), want.set(tid)) && want.rt > 0 {
					want.rt, want.nice = 0, wildest
					try(fmt.Sprintf("give it %v", want), want.set(tid))
				}
			}
			if have.cpus != want.cpus {
				changed = true
				try("bind it to CPUs "+c.CPUAffinity, unix.SchedSetaffinity(tid, &want.cpus))
			}
		}
		if !changed || len(refused) > 1 {
			break
		}
	}
	return errors.Join(errs...)
}

// limitComputing bounds how long a process with real-time priority may compute
// without a pause. The hard limit stays: lowered, it could not be raised again.
func limitComputing(pid int, d time.Duration) error {
	var limit unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_RTTIME, nil, &limit); err != nil {
		return err
	}
	limit.Cur = min(uint64(d.Microseconds()), limit.Max)
	return unix.Prlimit(pid, unix.RLIMIT_RTTIME, &limit, nil)
}

// set changes policy and priority of one thread.
func (s scheduling) set(tid int) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(s.nice)}
	if s.rt > 0 {
		attr.Policy, attr.Priority, attr.Nice = unix.SCHED_RR, uint32(s.rt), 0
	}
	return unix.SchedSetAttr(tid, &attr, 0)
}

// String names policy and priority.
func (s scheduling) String() string {
	switch {
	case s.rt > 0:
		return fmt.Sprintf("real-time priority %d", s.rt)
	case s.nice != 0:
		return fmt.Sprintf("nice %d", s.nice)
	}
	return "normal priority"
}

// treatment tells how the kernel treats a process that runs: what it says, not what
// it was asked for.
func treatment(pid int, own scheduling) string {
	s, err := schedulingOf(pid)
	if err != nil {
		return ""
	}
	parts := []string{s.String()}
	if s.cpus != own.cpus {
		var cpus []string
		for n := range 1024 {
			if s.cpus.IsSet(n) {
				cpus = append(cpus, strconv.Itoa(n))
			}
		}
		parts = append(parts, "CPU "+strings.Join(cpus, ","))
	}
	if memoryLocked(pid) {
		parts = append(parts, "memory locked")
	}
	return strings.Join(parts, ", ")
}
