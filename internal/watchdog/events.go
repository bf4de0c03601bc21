package watchdog

import (
	"context"
	"log/slog"
	"time"

	"director/internal/control"
)

// event numbers, keeps, logs and notifies one change of state.
func (p *parent) event(e control.Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Reason = bounded(e.Reason)
	e = p.events.add(e)
	for w := range p.waiting {
		w.answer()
	}
	attrs := []slog.Attr{slog.String(subjectKey(e), e.Subject), slog.String("from", e.From), slog.String("to", e.To)}
	if e.Reason != "" {
		attrs = append(attrs, slog.String("reason", e.Reason))
	}
	if e.Kind == control.KindAlarm {
		attrs = append(attrs, slog.String("alarm", e.Code))
	}
	if e.Kind == "instance" {
		attrs = append(attrs, slog.Int("priority", e.Priority))
	}
	if e.Author != "" {
		attrs = append(attrs, slog.String("author", e.Author))
	}
	if e.Code != "" && e.Kind != control.KindAlarm {
		attrs = append(attrs, slog.String("reason_code", e.Code))
	}
	attrs = append(attrs, slog.Uint64("generation", e.Generation), slog.Uint64("seq", e.Seq))
	level := slog.LevelInfo
	switch e.To {
	case "FAULT", "down", "sorry", "dead", "refused", "failed", "lost", "repaired", "raised", "stay", "unready", "undone":
		level = slog.LevelWarn
	}
	p.log.LogAttrs(context.Background(), level, e.Kind+" state", attrs...)
	p.notifier.Handle(e)
	for _, o := range p.observers {
		o.hears(e)
	}
}

// subjectKey is the log's key for what an event is about.
func subjectKey(e control.Event) string {
	switch e.Kind {
	case "address":
		return "vip"
	case "reload", "apply":
		return "config"
	case control.KindAlarm:
		if e.Alarm != nil && e.Alarm.Service != "" {
			return "service"
		}
		return "instance"
	case "maintenance":
		return "server"
	case "loglevel":
		return "process"
	case "":
		return "subject"
	}
	return e.Kind
}

// processEvent tells of the life of a child.
func (p *parent) processEvent(c *child, from, to, reason string) {
	p.event(control.Event{Kind: "process", Subject: string(c.role), From: from, To: to, Reason: reason, Generation: c.generation()})
}

// eventWait is a question for events that waits for the next one.
type eventWait struct {
	p     *parent
	query control.EventQuery
	reply func([]control.Event)
	timer *time.Timer
}

// answer ends the wait, with what there is.
func (w *eventWait) answer() {
	if w.p.waiting[w] {
		delete(w.p.waiting, w)
		w.timer.Stop()
		w.reply(w.p.events.after(w.query.After, w.query.Limit))
	}
}

// past replies with the events that a client has not seen, and when there are none
// waits for the next as long as the client asks for.
func (p *parent) past(q control.EventQuery, reply func([]control.Event)) {
	list := p.events.after(q.After, q.Limit)
	if len(list) > 0 || q.Wait <= 0 || p.phase == ended {
		reply(list)
		return
	}
	w := &eventWait{p: p, query: q, reply: reply}
	p.waiting[w] = true
	w.timer = p.after(min(q.Wait, control.MaxEventWait), w.answer)
}

// Events implements control.Handler.
func (h handler) Events(ctx context.Context, q control.EventQuery) ([]control.Event, error) {
	return ask(ctx, h.p, func(reply func([]control.Event)) { h.p.past(q, reply) })
}
