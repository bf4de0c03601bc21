package watchdog

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Work is what an observer process does until the parent is gone, which its feed
// tells. The sockets are those of its settings, in their order. It returns a Departure
// where it ends for the sake of another.
type Work func(ctx context.Context, s *Settings, feed *Feed, sockets []*os.File) error

// RunObserver is the whole life of an observer process: it gives up every right, takes
// the feed (file descriptor 3) and its sockets (those from 4), and works until the
// parent is gone. configured, unless it is nil, is called with the settings before, and
// level with each log level that the parent orders. It returns the exit status.
func RunObserver(role Role, log *slog.Logger, configured func(*Settings), level func(string) error, work Work) int {
	nameProcess(role.Title())
	if text := os.Getenv(envConfine); text != "" {
		c, err := parseConfinement(text)
		if err == nil {
			err = confine(c)
		}
		log.Error("the process cannot give up its rights", "reason", err)
		return 1
	}
	if err := confined(); err != nil {
		log.Error("the process does not work with rights", "reason", err)
		return 1
	}
	// Signals that a terminal or a service manager sends to all processes are for the
	// parent, whose end is the end of the feed.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM)
	SurviveLostLog()
	// The collector is to work harder before the kernel refuses more (RLIMIT_DATA).
	debug.SetMemoryLimit(observerData * 3 / 4)
	err := observe(configured, func(l *LogLevel) {
		if level == nil {
			return
		}
		if err := level(l.Level); err != nil {
			log.Warn("log level", "reason", err)
		}
	}, work)
	var departure Departure
	switch {
	case err == nil:
		return 0
	case errors.As(err, &departure):
		log.Warn("the process ends", "reason", err)
		return int(departure)
	}
	log.Error("the process ends", "reason", err)
	return 1
}

func observe(configured func(*Settings), level func(*LogLevel), work Work) error {
	feed, err := NewFeed(os.NewFile(childFD, "feed"))
	if err != nil {
		return err
	}
	feed.level = level
	s, err := feed.settings()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	if configured != nil {
		configured(s)
	}
	var names []string
	if s.Web != nil {
		names = s.Web.Listen
	} else {
		names = []string{s.SNMP.Socket}
	}
	sockets := make([]*os.File, len(names))
	for i, name := range names {
		sockets[i] = os.NewFile(uintptr(childFD+1+i), name)
	}
	return work(context.Background(), s, feed, sockets)
}
