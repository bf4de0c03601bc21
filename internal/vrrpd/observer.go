package vrrpd

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/internal/observe"
)

// observer looks at files, processes and targets away from the loop. What it
// sees comes back through the inbox.
type observer interface {
	// files names the files to be watched from now on. Those that are new are
	// written first where their configuration wants it, and init allows it.
	files(list []config.FileTracker, init bool)
	// processes names the processes to be counted from now on and returns the
	// number that the counts of this list will carry.
	processes([]config.ProcessTracker) uint64
	// ask asks a target once.
	ask(id uint64, t config.TargetTracker)
}

// blind is the observer that sees nothing.
type blind struct{}

func (blind) files([]config.FileTracker, bool)         {}
func (blind) processes([]config.ProcessTracker) uint64 { return 0 }
func (blind) ask(uint64, config.TargetTracker)         {}

// watcher is the observer of a real host. The loop alone calls its methods; its
// goroutines end with the context.
type watcher struct {
	ctx     context.Context
	post    func(any)
	warn    func(what string, err error)
	running sync.WaitGroup

	watching map[string]context.CancelFunc // files by path
	inited   map[string]bool               // files that were written at the start
	counting context.CancelFunc
	round    uint64
}

func newWatcher(ctx context.Context, post func(any), warn func(string, error)) *watcher {
	return &watcher{ctx: ctx, post: post, warn: warn, watching: make(map[string]context.CancelFunc), inited: make(map[string]bool)}
}

// watchPatience is how long the end waits for a watch. One that reads a file of a
// server that does not answer cannot be ended.
const watchPatience = 500 * time.Millisecond

// wait waits for the watches, whose context has ended.
func (w *watcher) wait() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.running.Wait()
	}()
	select {
	case <-done:
	case <-time.After(watchPatience):
	}
}

func (w *watcher) files(list []config.FileTracker, init bool) {
	keep := make(map[string]bool, len(list))
	for _, c := range list {
		path := c.File
		keep[path] = true
		if w.watching[path] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(w.ctx)
		w.watching[path] = cancel
		first := init && !w.inited[path]
		w.inited[path] = true
		w.running.Go(func() {
			if first && (c.InitFile == "missing" || c.InitFile == "overwrite") {
				if err := observe.Init(path, c.InitValue, c.InitFile == "overwrite"); err != nil {
					w.warn("cannot write track_file "+c.Name, err)
				}
			}
			observe.File(ctx, path, func(r observe.Reading) { w.post(fileSeen{path, r}) })
		})
	}
	for path, cancel := range w.watching {
		if !keep[path] {
			cancel()
			delete(w.watching, path)
		}
	}
}

func (w *watcher) processes(list []config.ProcessTracker) uint64 {
	if w.counting != nil {
		w.counting()
		w.counting = nil
	}
	w.round++
	if len(list) == 0 {
		return w.round
	}
	matches := make([]observe.Match, len(list))
	interval := list[0].Interval.D()
	for i, c := range list {
		matches[i] = observe.Match{Name: c.Process, CommandLine: c.CommandLine, Prefix: c.CommandMatch == "prefix"}
		interval = min(interval, c.Interval.D())
	}
	ctx, cancel := context.WithCancel(w.ctx)
	w.counting = cancel
	round := w.round
	w.running.Go(func() {
		observe.Processes(ctx, matches, max(interval, time.Millisecond), func(counts []int) { w.post(processesSeen{round, counts}) })
	})
	return round
}

func (w *watcher) ask(id uint64, t config.TargetTracker) {
	w.running.Go(func() {
		ctx, cancel := context.WithTimeout(w.ctx, t.Timeout.D())
		defer cancel()
		w.post(answered{id, t.Name, question(ctx, t)})
	})
}

// question asks a target and judges the answer.
func question(ctx context.Context, t config.TargetTracker) probe.Result {
	addr := t.Address
	if t.Gateway != "" {
		gateway, err := observe.Gateway(t.Gateway == "ipv6", t.Interface)
		if err != nil {
			return probe.Result{Reason: probe.Unreachable, Detail: err.Error()}
		}
		addr = gateway
	}
	if addr.Is6() && addr.IsLinkLocalUnicast() && addr.Zone() == "" {
		addr = addr.WithZone(t.Interface)
	}
	to := probe.Target{Addr: netip.AddrPortFrom(addr, t.Port), Device: t.Interface}
	switch t.Kind {
	case config.CheckTCP:
		return probe.TCP(ctx, to)
	case config.CheckHTTP:
		s := probe.HTTPSettings{Method: t.Method, Path: t.Path, Host: t.Host, Body: t.Body}
		for _, r := range t.Status {
			s.Status = append(s.Status, probe.StatusRange(r))
		}
		return probe.HTTP(ctx, to, s)
	case config.CheckPing:
		return probe.Ping(ctx, to)
	}
	return probe.Result{Reason: probe.Local, Detail: errors.ErrUnsupported.Error()}
}
