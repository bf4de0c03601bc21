// Package webd is the read-only face of director over HTTP: metrics, the status
// page and JSON. It runs in a process without any right that is told the state and
// the events by the parent and can say nothing.
package webd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/exporter-toolkit/web"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
)

// keptEvents is how many past events are shown: as many as the parent keeps.
const keptEvents = 1000

// Daemon is the web process' work.
type Daemon struct {
	log      *slog.Logger
	settings config.Web
	registry *prometheus.Registry
	names    names

	view atomic.Pointer[view] // nil before the first state

	history history
	streams *streams
	digests chan struct{} // bounds the work for questions

	mu     sync.Mutex
	events []control.Event // oldest first
}

// New returns a daemon that serves nothing yet. Its metrics are registered with
// registry.
func New(log *slog.Logger, settings config.Web, registry *prometheus.Registry) (*Daemon, error) {
	d := &Daemon{
		log: log, settings: settings, registry: registry,
		names:   namesOf(settings.ServerName),
		streams: newStreams(settings.MaxConnections / 2), digests: make(chan struct{}, maxDigests),
	}
	if err := registry.Register(newCollector(d.view.Load)); err != nil {
		return nil, fmt.Errorf("webd: metrics: %w", err)
	}
	return d, nil
}

// Feed is where the state comes from. *watchdog.Feed is one.
type Feed interface {
	// Next waits for what is told next; io.EOF: nothing comes any more.
	Next() (watchdog.News, error)
}

// Run serves the listeners until the feed ends or ctx is done.
func (d *Daemon) Run(ctx context.Context, feed Feed, listeners []net.Listener) error {
	gate := newGate(d.settings.MaxConnections)
	var servers []*http.Server
	failed := make(chan error, len(listeners)+1)
	for _, l := range listeners {
		s := d.server(gate)
		servers = append(servers, s)
		go func() {
			path := d.settings.ConfigFile
			// It tells at length where it listens and how, which the parent has told.
			quiet := slog.New(levelAbove(d.log.Handler()))
			err := web.Serve(gate.listen(l), s, &web.FlagConfig{WebConfigFile: &path}, quiet)
			if !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("webd: serve %s: %w", l.Addr(), err)
			}
		}()
	}
	go func() {
		for {
			n, err := feed.Next()
			if err != nil {
				failed <- err
				return
			}
			d.take(n, time.Now())
		}
	}()
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	for _, s := range servers {
		s.Close()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// take makes what was told what is shown.
func (d *Daemon) take(n watchdog.News, now time.Time) {
	if len(n.Events) > 0 {
		d.mu.Lock()
		d.events = append(d.events, n.Events...)
		d.events = d.events[max(0, len(d.events)-keptEvents):]
		d.mu.Unlock()
	}
	var number uint64
	if n.Status != nil {
		d.history.add(now, n.Status)
		v := newView(n.Status, d.view.Load(), now, d.settings.UpdateInterval.D(), d.settings.MaxServerSeries)
		v.page = once(v, &d.history)
		d.view.Store(v)
		number = v.number
	}
	d.streams.publish(number, n.Events)
}

// past returns the newest events with a greater number than after, oldest first, at
// most limit of them when that is positive.
func (d *Daemon) past(after uint64, limit int) []control.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := []control.Event{}
	for _, e := range d.events {
		if e.Seq > after {
			list = append(list, e)
		}
	}
	if limit > 0 {
		list = list[max(0, len(list)-limit):]
	}
	return list
}
