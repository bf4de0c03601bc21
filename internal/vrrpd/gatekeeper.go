package vrrpd

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"director/checkers/probe"
	"director/config"
	"director/vrrp"
	"director/vrrp/link"
)

// keeper is the gatekeeper of a real host.
type keeper struct {
	ctx  context.Context
	post func(any)

	mu    sync.Mutex
	open  map[string][]context.CancelFunc // of the questions, by router
	locks map[string]*sharedLock          // by file
}

// sharedLock is a lock on a file, which this host takes once for all routers that
// want it. One system call for it is under way at a time, for however long that takes.
type sharedLock struct {
	file  string
	users map[string]bool // routers
	held  *link.FileLock
	busy  bool
	asked []gateQuestion // to be answered by the call that is under way, or the next one
}

func newKeeper(ctx context.Context, post func(any)) *keeper {
	return &keeper{ctx: ctx, post: post, open: make(map[string][]context.CancelFunc), locks: make(map[string]*sharedLock)}
}

func (k *keeper) ask(q gateQuestion) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if q.cfg.Kind == config.GateLock {
		l := k.locks[q.cfg.File]
		if l == nil {
			l = &sharedLock{file: q.cfg.File, users: make(map[string]bool)}
			k.locks[q.cfg.File] = l
		}
		l.users[q.router] = true
		l.asked = append(l.asked, q)
		k.work(l)
		return
	}
	ctx, cancel := context.WithTimeout(k.ctx, q.cfg.Timeout.D()+vipFreeGrace)
	k.open[q.router] = append(k.open[q.router], cancel)
	go func() {
		defer cancel()
		a := gateAnswer{router: q.router, gate: q.gate, id: q.id}
		if q.cfg.Kind == config.GateReference {
			a.answer, a.detail = askReference(ctx, q.cfg)
		} else {
			a.answer, a.detail = askAddresses(ctx, q.places, q.cfg.Timeout.D())
		}
		if ctx.Err() == nil || !errors.Is(ctx.Err(), context.Canceled) {
			k.post(a)
		}
	}()
}

func (k *keeper) cancel(router string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, cancel := range k.open[router] {
		cancel()
	}
	delete(k.open, router)
}

func (k *keeper) unlock(router string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.locks {
		if l.users[router] {
			delete(l.users, router)
			k.work(l)
		}
	}
}

// work does the next thing to a lock, unless something is under way. k.mu is held.
func (k *keeper) work(l *sharedLock) {
	switch {
	case l.busy:
	case len(l.users) == 0:
		l.asked = nil
		if l.held == nil {
			delete(k.locks, l.file)
			return
		}
		held := l.held
		l.busy, l.held = true, nil
		go func() {
			_ = held.Close() // the lock ends with the descriptor, whatever it answers
			k.done(l, nil, nil)
		}()
	case len(l.asked) > 0:
		note, held := l.asked[0].note, l.held
		l.busy = true
		go func() {
			if held != nil {
				if err := held.Check(); err != nil {
					_ = held.Close()
					k.done(l, nil, err)
					return
				}
				k.done(l, held, nil)
				return
			}
			held, err := link.LockFile(l.file, note)
			k.done(l, held, err)
		}()
	}
}

// done takes what a system call for a lock has come to.
func (k *keeper) done(l *sharedLock, held *link.FileLock, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	l.busy, l.held = false, held
	var answers []gateQuestion
	if len(l.users) > 0 && (held != nil || err != nil) {
		answers, l.asked = l.asked, nil
	}
	for _, q := range answers {
		if !l.users[q.router] {
			continue
		}
		a := gateAnswer{q.router, q.gate, q.id, vrrp.Passed, "the lock is had"}
		switch {
		case errors.Is(err, link.ErrLocked):
			a.answer, a.detail = vrrp.Denied, err.Error()
		case err != nil:
			a.answer, a.detail = vrrp.Untold, err.Error()
		}
		k.post(a)
	}
	k.work(l)
}

// referenceTries is how many pings a gate sends in its time: one may be lost.
const referenceTries = 3

// askReference asks the targets of a gate all at once.
func askReference(ctx context.Context, g *config.Gate) (vrrp.Answer, string) {
	results := make(chan gateAnswer, len(g.Targets))
	ctx, cancel := context.WithTimeout(ctx, g.Timeout.D())
	defer cancel()
	for _, t := range g.Targets {
		go func() {
			r := askTarget(ctx, t, g.Timeout.D())
			a := gateAnswer{answer: vrrp.Untold, detail: fmt.Sprintf("%s: %s", t, r)}
			switch {
			case r.OK:
				a.answer = vrrp.Passed
			case r.Conclusive() && r.Reason != probe.Timeout:
				a.answer = vrrp.Denied
			}
			results <- a
		}()
	}
	// A target that passes decides where one is enough, and one that does not where
	// all are needed. Else it is a denial only if every target has given one.
	decides, rest := vrrp.Passed, vrrp.Denied
	if g.Need == "all" {
		decides, rest = vrrp.Denied, vrrp.Passed
	}
	var told []string
	for range g.Targets {
		a := <-results
		if a.answer == decides {
			return a.answer, a.detail
		}
		if a.answer == vrrp.Untold {
			rest = vrrp.Untold
		}
		told = append(told, a.detail)
	}
	return rest, strings.Join(told, "; ")
}

// askTarget asks one target.
func askTarget(ctx context.Context, t config.GateTarget, limit time.Duration) probe.Result {
	to := probe.Target{Addr: t.Address}
	if t.Address.Port() != 0 {
		return probe.TCP(ctx, to)
	}
	var r probe.Result
	for range referenceTries {
		try, cancel := context.WithTimeout(ctx, limit/referenceTries)
		r = probe.Ping(try, to)
		cancel()
		if r.OK || r.Reason != probe.Timeout || ctx.Err() != nil {
			break
		}
	}
	return r
}

// askAddresses asks whether anybody has one of the addresses.
func askAddresses(ctx context.Context, places []gatePlace, wait time.Duration) (vrrp.Answer, string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan gateAnswer, len(places))
	for _, p := range places {
		go func() { results <- askAddress(ctx, p.device, p.addr, wait) }()
	}
	answer, detail := vrrp.Passed, fmt.Sprintf("nobody answers for %s", placeNames(places))
	for range places {
		switch a := <-results; a.answer {
		case vrrp.Denied:
			return a.answer, a.detail
		case vrrp.Untold:
			answer, detail = a.answer, a.detail
		}
	}
	return answer, detail
}

func askAddress(ctx context.Context, device string, addr netip.Addr, wait time.Duration) gateAnswer {
	switch mac, err := link.ProbeAddress(ctx, device, addr, wait); {
	case err != nil:
		return gateAnswer{answer: vrrp.Untold, detail: err.Error()}
	case mac != nil:
		return gateAnswer{answer: vrrp.Denied, detail: fmt.Sprintf("%s is in use: %s answers for it on %s", addr, mac, device)}
	}
	return gateAnswer{answer: vrrp.Passed}
}

func placeNames(places []gatePlace) string {
	return addressList(len(places), func(i int) netip.Addr { return places[i].addr })
}
