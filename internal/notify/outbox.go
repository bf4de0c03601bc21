package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
)

const (
	// foldAt is how many notes may wait in a lane before those of one subject are
	// folded into its newest.
	foldAt = 32
	// maxWaiting bounds a lane; the oldest note then makes room for the newest.
	maxWaiting = 5000
)

// channel is one way of telling, with the settings of one configuration.
type channel interface {
	// wants says whether an event is to be told.
	wants(*held, control.Event) bool
	// lane names the queue that an event belongs to: what is in one is told in
	// order, one at a time.
	lane(control.Event) string
	// deliver tells one note within a time limit of its own, or until ctx ends. A
	// *finalError says that trying again cannot help.
	deliver(ctx context.Context, nt *note) error
	// again says whether a note is tried again after so many failures, and when.
	again(failures int, age time.Duration) (wait time.Duration, ok bool)
}

// finalError is a failure that concerns this note alone and for good.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// within calls f with a time limit. That it ran out, or why ctx ended, is told in place
// of an error that is not final: such an error is only what came of it.
func within(ctx context.Context, limit config.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit.D(), fmt.Errorf("not done after %v", limit))
	defer cancel()
	err := f(ctx)
	var final *finalError
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.As(err, &final) {
		err = cause
	}
	return err
}

// note is one event on its way through one channel.
type note struct {
	event    control.Event
	held     *held    // the generation it happened under
	via      channel  // that generation's
	skipped  []string // states of the subject that were folded into this one
	failures int
	done     map[string]bool // what a channel has delivered in part
}

// outbox is the queues of one channel through all generations. The notifier's
// lock guards it.
type outbox struct {
	n          *Notifier
	name       string
	log        *slog.Logger
	slots      chan struct{} // bounds deliveries at the same time
	channel    channel       // of the newest generation, nil without one
	changed    chan struct{} // closed when channel changes
	lanes      map[string]*lane
	quiet      bool // drops are counted, and only the first in a row is logged
	neverFolds bool // each change is told
	failing    bool // the newest delivery failed, and that was logged
	full       bool // a note was pushed out, and that was logged
	stats      control.NotifyChannel
}

// lane is what waits in one queue. It exists while a goroutine works on it.
type lane struct {
	waiting []*note
	busy    *note
}

func newOutbox(n *Notifier, name string, slots int) *outbox {
	return &outbox{
		n: n, name: name, log: n.log.With("channel", name), slots: make(chan struct{}, slots),
		changed: make(chan struct{}), lanes: make(map[string]*lane), stats: control.NotifyChannel{Channel: name},
	}
}

// use makes ch the channel of what is queued. What waits for another try is
// tried at once: the change may have mended it.
func (b *outbox) use(ch channel) {
	b.channel = ch
	close(b.changed)
	b.changed = make(chan struct{})
}

// add queues a note.
func (b *outbox) add(nt *note) {
	key := nt.via.lane(nt.event)
	l := b.lanes[key]
	if l == nil {
		b.lanes[key] = &lane{waiting: []*note{nt}}
		b.n.began()
		go b.work(key, b.lanes[key])
		return
	}
	behind := len(l.waiting) >= foldAt || l.busy != nil && l.busy.failures > 0
	if behind && !b.neverFolds && nt.event.Subject != "" {
		i := slices.IndexFunc(l.waiting, func(o *note) bool {
			return about(o.event) == about(nt.event)
		})
		if i >= 0 {
			nt.skipped = append(l.waiting[i].skipped, l.waiting[i].event.To)
			l.waiting = slices.Delete(l.waiting, i, i+1)
			b.stats.Coalesced++
		}
	}
	if len(l.waiting) >= maxWaiting {
		l.waiting = l.waiting[1:]
		b.stats.Dropped++
		if !b.full {
			b.full = true
			b.log.Warn("too many notifications wait: the oldest are dropped", "waiting", maxWaiting)
		}
	}
	l.waiting = append(l.waiting, nt)
}

// work delivers what is in a lane until nothing is left.
func (b *outbox) work(key string, l *lane) {
	for {
		b.n.mu.Lock()
		if len(l.waiting) == 0 {
			delete(b.lanes, key)
			b.full = false
			b.n.ended()
			b.n.mu.Unlock()
			return
		}
		l.busy, l.waiting = l.waiting[0], l.waiting[1:]
		b.n.mu.Unlock()
		for b.try(l) {
		}
	}
}

// try delivers the lane's note once. When that fails and the note is to be tried
// again, it waits for that moment and returns true.
func (b *outbox) try(l *lane) bool {
	nt := l.busy
	b.slots <- struct{}{}
	b.n.mu.Lock()
	ch, changed := b.channel, b.changed
	if ch == nil {
		ch = nt.via
	}
	last := b.n.closed // whether this try is the last one
	b.n.mu.Unlock()
	err := b.n.ctx.Err()
	if err == nil {
		err = ch.deliver(b.n.ctx, nt)
	}
	<-b.slots
	if b.n.ctx.Err() != nil && err != nil {
		err = context.Cause(b.n.ctx)
	}
	wait, again := b.settle(l, ch, err, last)
	if !again {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-b.n.closing:
	}
	return true
}

// settle keeps the books after a delivery, and says whether and when there is
// another.
func (b *outbox) settle(l *lane, ch channel, err error, last bool) (wait time.Duration, again bool) {
	b.n.mu.Lock()
	defer b.n.mu.Unlock()
	nt := l.busy
	if err == nil {
		l.busy = nil
		b.stats.Sent++
		if b.failing {
			b.failing = false
			b.log.Info("notifications are delivered again", "failed", b.stats.Failed, "dropped", b.stats.Dropped)
		}
		return 0, false
	}
	nt.failures++
	b.stats.Failed++
	b.stats.LastError, b.stats.LastErrorAt = err.Error(), time.Now()
	var final *finalError
	isFinal := errors.As(err, &final)
	wait, again = ch.again(nt.failures, time.Since(nt.event.Time))
	again = again && !isFinal && !last
	if again {
		if !b.failing {
			b.failing = true
			b.log.Warn("notification cannot be delivered, it is tried again", append(nt.attrs(), "reason", err)...)
		}
		return wait, true
	}
	l.busy = nil
	b.drop(err, nt)
	if last && !isFinal { // what else waits in this lane would fare no better
		for _, nt := range l.waiting {
			b.drop(err, nt)
		}
		l.waiting = nil
	}
	return 0, false
}

// drop gives a note up.
func (b *outbox) drop(err error, nt *note) {
	b.stats.Dropped++
	if b.quiet && b.failing {
		return
	}
	b.failing = b.failing || b.quiet
	b.log.Warn("notification dropped", append(nt.attrs(), "tries", nt.failures, "reason", err)...)
}

// attrs names a note in the log.
func (nt *note) attrs() []any {
	attrs := []any{nt.event.Kind, nt.event.Subject, "to", nt.event.To, "seq", nt.event.Seq}
	if len(nt.skipped) > 0 {
		attrs = append(attrs, "skipped", strings.Join(nt.skipped, " "))
	}
	return attrs
}

// status says how the channel fares.
func (b *outbox) status() control.NotifyChannel {
	s := b.stats
	for _, l := range b.lanes {
		s.Queued += len(l.waiting)
		if l.busy != nil {
			s.Queued++
		}
	}
	return s
}
