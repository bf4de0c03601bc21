package checkd

import (
	"time"

	"director/checkers"
	"director/internal/control"
)

// This file is about what pools do by themselves as time goes by, and what they
// raise alarms for.

// count counts the real servers of a service.
func count(s *service) *control.Pool {
	p := &control.Pool{Total: len(s.pool.Servers())}
	for _, rs := range s.pool.Servers() {
		if rs.State == checkers.Up {
			p.Up++
		}
	}
	return p
}

// planRise notes when a pool has something to do by itself.
func (d *Daemon) planRise(s *service) {
	at, ok := s.pool.Next()
	if !ok {
		delete(d.rising, s)
		return
	}
	d.rising[s] = at
	if len(d.rising) == 1 || at.Before(d.riseAt) {
		d.riseAt = at
	}
}

// rise does what is due in pools by time alone. All pools are looked at only when the
// first of them may have something to do: while director starts that is every one.
func (d *Daemon) rise(now time.Time) {
	if len(d.rising) == 0 || now.Before(d.riseAt) {
		return
	}
	for s, at := range d.rising {
		if now.Before(at) {
			continue
		}
		if changes, moved := s.pool.Tick(now); moved || len(changes) > 0 {
			d.announce(now, s, changes)
		}
		d.planRise(s)
	}
	first := true
	for _, at := range d.rising {
		if first || at.Before(d.riseAt) {
			first, d.riseAt = false, at
		}
	}
}

// nextRise returns when rise has something to do; false: never.
func (d *Daemon) nextRise() (next time.Time, ok bool) { return d.riseAt, len(d.rising) > 0 }

// alarm makes the event of an alarm that is raised or over.
func (d *Daemon) alarm(now time.Time, s *service, c checkers.Change) control.Event {
	e := control.Event{Time: now, Generation: d.generation, Kind: control.KindAlarm, Subject: s.pool.Config().Name,
		From: "clear", To: "raised", Reason: c.Detail}
	code, since := c.Reason, time.Time{}
	switch c.Reason {
	case checkers.PanicBegan, checkers.PanicEnded:
		code = checkers.PanicBegan
		_, since = s.pool.Guarding()
	case checkers.CertificateEnds, checkers.CertificateGood:
		code = checkers.CertificateEnds
		_, since = s.pool.Expiring()
	case checkers.VerdictsMissing, checkers.VerdictsCame:
		code = checkers.VerdictsMissing
		_, since = s.pool.Overdue()
	}
	if c.Reason != code {
		e.From, e.To = e.To, e.From
	}
	e.Code = code.String()
	e.Alarm = &control.Alarm{Service: e.Subject, Code: e.Code, Level: control.LevelAlarm, Since: since, First: since, Last: now, Count: 1, Reason: c.Detail}
	return e
}

// endAlarm ends an alarm of a service that ceases to be watched, if it is raised.
func (d *Daemon) endAlarm(now time.Time, s *service, raised bool, over checkers.Reason, why string) {
	if raised {
		d.events = append(d.events, d.alarm(now, s, checkers.Change{Reason: over, Detail: why}))
	}
}

// endWatch ends the alarms that hold while the checks go on.
func (d *Daemon) endWatch(now time.Time, s *service, why string) {
	guarding, _ := s.pool.Guarding()
	d.endAlarm(now, s, guarding, checkers.PanicEnded, why)
	overdue, _ := s.pool.Overdue()
	d.endAlarm(now, s, overdue, checkers.VerdictsCame, why)
}

// endAlarms ends the alarms of a service that is no more.
func (d *Daemon) endAlarms(now time.Time, s *service) {
	const why = "the virtual server is no more"
	d.endWatch(now, s, why)
	ends, _ := s.pool.Expiring()
	d.endAlarm(now, s, !ends.IsZero(), checkers.CertificateGood, why)
}

// farewell tells, before the stop, of what ends with it: alarms about the checks, and where
// the configuration wants it so (omega) the service itself. A certificate ends all
// the same, so that its alarm stays raised.
func (d *Daemon) farewell(now time.Time) {
	for _, s := range d.services {
		d.endWatch(now, s, "director stops")
		if !s.source.Omega || d.global.KeepIPVSOnStop {
			continue
		}
		name := s.pool.Config().Name
		tell := func(kind, subject, from string) {
			d.events = append(d.events, control.Event{
				Time: now, Generation: d.generation, Kind: kind, Subject: subject,
				From: from, To: checkers.Down.String(), Reason: "director stops", Code: "stopped", Pool: count(s),
			})
		}
		for _, rs := range s.pool.Servers() {
			if rs.State == checkers.Up {
				tell("server", name+"/"+rs.Config.Name, rs.State.String())
			}
		}
		if state, _, _ := s.pool.State(); state == checkers.Up {
			tell("service", name, state.String())
		}
	}
	d.sendEvents()
}
