package watchdog

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// orphanLimit is how long a child without a parent may take to stop.
const orphanLimit = 15 * time.Second

// RunChild is the whole life of a child process after its start: it names
// the process, opens the channel, runs the daemon and returns the exit status. The
// log should tell the role in each of its lines; flush, which may take a moment, writes what of it is still queued.
//
// observe, unless it is nil, is called with each Configure before the daemon
// gets it, and level with each log level that the parent orders. Stopping is the parent's to say: signals that a terminal or a service
// manager sends to all processes at once are ignored, because the order of
// the stop would be lost.
func RunChild(role Role, log *slog.Logger, flush func(), run func(context.Context, *Channel) error, observe func(*Configure), level func(string) error) int {
	nameProcess(role.Title())
	ch, err := ChildChannel()
	if err != nil {
		log.Error("child cannot start", "reason", err)
		return 1
	}
	defer ch.Close()
	memory := newMemory(log)
	ch.observe = func(m Message) {
		if m.LogLevel != nil && level != nil {
			if err := level(m.LogLevel.Level); err != nil {
				log.Warn("log level", "reason", err)
			}
		}
		if m.Configure == nil {
			return
		}
		if observe != nil {
			observe(m.Configure)
		}
		memory.configured(role.settings(m.Configure.Config).LockMemory)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	SurviveLostLog()
	go orphanage(signals, os.Getppid(), cancel)
	go endWild(log, flush)

	err = run(ctx, ch)
	if err == nil {
		_ = ch.Flush(time.Second) // nobody may be there any more
		return 0
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.EOF) {
		// The daemon has told that it stops for this, and done so.
		log.Info("child ends", "reason", "the parent is gone")
		return 1
	}
	log.Error("child ends", "reason", err)
	if errors.Is(err, fs.ErrPermission) && !ch.sentFinal() {
		ch.Send(Message{Ack: &Ack{Error: err.Error(), Final: true}})
	}
	_ = ch.Flush(time.Second)
	if ch.sentFinal() {
		return exitFinal
	}
	return 1
}

// SurviveLostLog keeps the process alive when whoever reads its standard error is
// gone: without it, the runtime ends a process that writes there (SIGPIPE).
func SurviveLostLog() {
	// Not ignored, which programs started from here would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// endWild ends a process with real-time priority that has computed for longer than
// it may without a pause (RLIMIT_RTTIME): it would keep everything else from its CPU.
// The dump says where. The parent starts another, which goes on where this one was.
func endWild(log *slog.Logger, flush func()) {
	over := make(chan os.Signal, 1)
	signal.Notify(over, syscall.SIGXCPU)
	<-over
	stacks := make([]byte, 1<<20)
	log.Error("child ends", "reason", "it computed for longer than rt_time_limit without a pause")
	flush()
	os.Stderr.Write(stacks[:runtime.Stack(stacks, true)])
	os.Exit(1)
}

// orphanage waits for the kernel's word (SIGTERM) that the parent died, which
// counts only when it is true. The end of the channel has told the daemon before,
// unless its loop hangs: then the process ends itself.
func orphanage(signals <-chan os.Signal, parent int, stop func()) {
	for range signals {
		if os.Getppid() != parent {
			stop()
			time.AfterFunc(orphanLimit, func() { os.Exit(1) })
		}
	}
}

// nameProcess sets what ps shows in its column of commands; the kernel keeps 15 bytes.
func nameProcess(title string) {
	// Not prctl, which names the calling thread only.
	_ = os.WriteFile("/proc/self/comm", []byte(title), 0) // the name is not worth a failure
}

// sentFinal reports whether an Ack that is Final was sent.
func (c *Channel) sentFinal() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.final
}
