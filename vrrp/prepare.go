package vrrp

import (
	"fmt"
	"time"
)

// preparation is what a new MASTER's addresses wait for: what they are to lead to, such
// as a table of real servers. Its adverts do not wait.
type preparation struct {
	until time.Time // the addresses wait no longer; zero: they do not wait
	limit time.Duration
}

// Preparing reports whether a MASTER's addresses wait for EventReady.
func (i *Instance) Preparing() bool { return !i.prepare.until.IsZero() }

// claim puts the addresses of a new MASTER up, or has what they lead to made ready
// before. Who resumes has them up already, and they led there.
func (i *Instance) claim(now time.Time, cause Cause, acts []Action) []Action {
	limit := i.settings.Prepare
	if limit <= 0 || cause.Reason == ReasonResumed {
		return i.acquire(now, acts)
	}
	i.announce, i.announceBig, i.contested = time.Time{}, 0, false
	i.prepare = preparation{now.Add(limit), limit}
	return append(acts, Action{Kind: ActionPrepare})
}

// acquire puts the addresses of a MASTER up and announces them.
func (i *Instance) acquire(now time.Time, acts []Action) []Action {
	i.prepare = preparation{}
	i.announce, i.announceBig, i.contested = time.Time{}, 0, false
	switch {
	case i.settings.GarpDelay > 0:
		i.announce, i.announceBig = now.Add(i.settings.GarpDelay), i.settings.GarpRepeat
	case i.settings.GarpRefresh > 0:
		i.announce = now.Add(i.settings.GarpRefresh)
	}
	return append(acts, Action{Kind: ActionAcquire, Repeat: i.settings.GarpRepeat})
}

// prepared ends the wait of a MASTER's addresses. Why they lead nowhere yet is told, and is
// empty when what is behind them is ready.
func (i *Instance) prepared(now time.Time, unready string, acts []Action) []Action {
	if !i.Preparing() {
		return acts
	}
	acts = i.acquire(now, acts)
	if unready != "" {
		i.cause.Unready = unready
		acts = append(acts, Action{Kind: ActionUnready, Transition: Transition{From: Master, To: Master, Cause: i.cause}})
	}
	return acts
}

// prepareTimer ends a wait that has become too long.
func (i *Instance) prepareTimer(now time.Time, acts []Action) []Action {
	if !i.Preparing() || now.Before(i.prepare.until) {
		return acts
	}
	return i.prepared(now, fmt.Sprintf("no word of it within %v", i.prepare.limit), acts)
}
