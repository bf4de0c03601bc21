package watchdog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
)

// RunWeb is the whole life of the web process: it gives up every right, takes the
// feed (file descriptor 3) and the listening sockets (those from 4), and runs serve
// until the parent is gone. configured, unless it is nil, is called with the settings
// before, and level with each log level that the parent orders. It returns the exit status.
func RunWeb(log *slog.Logger, configured func(*WebSettings), level func(string) error, serve func(context.Context, *WebSettings, *Feed, []net.Listener) error) int {
	nameProcess(RoleWeb.Title())
	if text := os.Getenv(envConfine); text != "" {
		c, err := parseConfinement(text)
		if err == nil {
			err = confine(c)
		}
		log.Error("the web process cannot give up its rights", "reason", err)
		return 1
	}
	if err := confined(); err != nil {
		log.Error("the web process does not serve with rights", "reason", err)
		return 1
	}
	// Signals that a terminal or a service manager sends to all processes are for the
	// parent, whose end is the end of the feed.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM)
	SurviveLostLog()
	// The collector is to work harder before the kernel refuses more (RLIMIT_DATA).
	debug.SetMemoryLimit(webData * 3 / 4)
	err := runWeb(configured, func(l *LogLevel) {
		if level == nil {
			return
		}
		if err := level(l.Level); err != nil {
			log.Warn("log level", "reason", err)
		}
	}, serve)
	if err == nil {
		return 0
	}
	log.Error("the web process ends", "reason", err)
	return 1
}

func runWeb(configured func(*WebSettings), level func(*LogLevel), serve func(context.Context, *WebSettings, *Feed, []net.Listener) error) error {
	feed, err := NewFeed(os.NewFile(childFD, "feed"))
	if err != nil {
		return err
	}
	feed.level = level
	first, err := feed.Next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	if first.Settings == nil {
		return errors.New("watchdog: the feed does not begin with settings")
	}
	if configured != nil {
		configured(first.Settings)
	}
	listeners := make([]net.Listener, len(first.Settings.Web.Listen))
	for i, address := range first.Settings.Web.Listen {
		f := os.NewFile(uintptr(childFD+1+i), address)
		if listeners[i], err = net.FileListener(f); err != nil {
			return fmt.Errorf("watchdog: listening socket of %s: %w", address, err)
		}
		if u, ok := listeners[i].(*net.UnixListener); ok && strings.HasPrefix(address, "/") {
			u.SetUnlinkOnClose(false) // the parent's to do
		}
		f.Close()
	}
	return serve(context.Background(), first.Settings, feed, listeners)
}
