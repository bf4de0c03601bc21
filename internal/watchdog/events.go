package watchdog

import (
	"context"
	"log/slog"
	"time"

	"director/internal/control"
)

// maxEvents is how many past events are kept.
const maxEvents = 1000

// ring is the newest events, and the number of the last.
type ring struct {
	list []control.Event // the oldest at next, once full
	next int
	seq  uint64
}

// add numbers an event and keeps it.
func (r *ring) add(e control.Event) control.Event {
	r.seq++
	e.Seq = r.seq
	if len(r.list) < maxEvents {
		r.list = append(r.list, e)
		return e
	}
	r.list[r.next] = e
	r.next = (r.next + 1) % maxEvents
	return e
}

// event numbers, keeps, logs and notifies one change of state.
func (p *parent) event(e control.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e = p.events.add(e)
	attrs := []slog.Attr{slog.String(subjectKey(e.Kind), e.Subject), slog.String("from", e.From), slog.String("to", e.To)}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	if e.Kind == control.KindAlarm {
		attrs = append(attrs, slog.String("alarm", e.Code))
	}
	if e.Kind == "instance" {
		attrs = append(attrs, slog.Int("priority", e.Priority))
	}
	attrs = append(attrs, slog.Uint64("generation", e.Generation), slog.Uint64("seq", e.Seq))
	level := slog.LevelInfo
	switch e.To {
	case "FAULT", "down", "sorry", "dead", "refused", "failed", "lost", "repaired", "raised", "stay":
		level = slog.LevelWarn
	}
	p.log.LogAttrs(context.Background(), level, e.Kind+" state", attrs...)
	p.notifier.Handle(e)
}

// subjectKey is the log's key for what an event of this kind is about.
func subjectKey(kind string) string {
	switch kind {
	case "address":
		return "vip"
	case "reload":
		return "config"
	case control.KindAlarm:
		return "instance"
	case "":
		return "subject"
	}
	return kind
}

// processEvent tells of the life of a child.
func (p *parent) processEvent(c *child, from, to, reason string) {
	p.event(control.Event{Kind: "process", Subject: string(c.role), From: from, To: to, Reason: reason, Generation: c.generation()})
}
