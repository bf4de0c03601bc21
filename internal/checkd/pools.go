package checkd

import (
	"time"

	"director/checkers"
	"director/internal/control"
)

// This file is about what pools do by themselves as time goes by, what is told of it, and
// what they raise alarms for.

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

// announce tells the parent of changes of state; the parent logs them.
func (d *Daemon) announce(now time.Time, s *service, changes []checkers.Change) {
	d.changed[s] = struct{}{}
	d.news = true
	d.planRise(s)
	d.relieved(now, s)
	name := s.pool.Config().Name
	for _, c := range changes {
		switch c.Reason {
		case checkers.WeightChanged:
			continue // status tells; a busy agent would fill the log
		case checkers.PanicBegan, checkers.PanicEnded, checkers.CertificateEnds, checkers.CertificateGood, checkers.VerdictsMissing, checkers.VerdictsCame:
			d.events = append(d.events, d.alarm(now, s, c))
			d.alarmsStale = true
			continue
		}
		e := control.Event{
			Time: now, Generation: d.generation, Kind: "service", Subject: name,
			From: c.From.String(), To: c.To.String(), Reason: c.Why(), Code: c.Reason.String(),
		}
		if c.Server != "" {
			e.Kind, e.Subject = "server", name+"/"+c.Server
		}
		e.Pool = count(s)
		d.events = append(d.events, e)
	}
}

// alarm makes the event of an alarm that is raised or over.
func (d *Daemon) alarm(now time.Time, s *service, c checkers.Change) control.Event {
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
	return d.alarmEvent(now, s.pool.Config().Name, code, c.Reason == code, since, c.Detail)
}

// alarmEvent makes the event of an alarm of the virtual server of a name.
func (d *Daemon) alarmEvent(now time.Time, service string, code checkers.Reason, raised bool, since time.Time, reason string) control.Event {
	e := control.Event{Time: now, Generation: d.generation, Kind: control.KindAlarm, Subject: service, From: "clear", To: "raised", Reason: reason, Code: code.String()}
	if !raised {
		e.From, e.To = e.To, e.From
	}
	e.Alarm = &control.Alarm{Service: service, Code: e.Code, Level: control.LevelAlarm, Since: since, First: since, Last: now, Count: 1, Reason: reason}
	return e
}

// endAlarm ends an alarm of a service that ceases to be watched, if it is raised.
func (d *Daemon) endAlarm(now time.Time, s *service, raised bool, over checkers.Reason, why string) {
	if raised {
		d.events = append(d.events, d.alarm(now, s, checkers.Change{Reason: over, Detail: why}))
	}
}

// endGuard ends the alarm of the panic guard.
func (d *Daemon) endGuard(now time.Time, s *service, why string) {
	guarding, _ := s.pool.Guarding()
	d.endAlarm(now, s, guarding, checkers.PanicEnded, why)
}

// goneService is why the alarms of a virtual server end that was taken out of the
// configuration.
const goneService = "the virtual server is no more"

// endAlarms ends the alarms of a service that is no more.
func (d *Daemon) endAlarms(now time.Time, s *service) {
	d.endGuard(now, s, goneService)
	overdue, _ := s.pool.Overdue()
	d.endAlarm(now, s, overdue, checkers.VerdictsCame, goneService)
	d.endAlarm(now, s, s.warns(), checkers.CertificateGood, goneService)
	d.alarmsStale = true
}

// farewell tells, before the stop, of what ends with it: that the panic guard keeps servers
// in service, and where the configuration wants it so (omega) the service itself. A
// certificate ends all the same, and a server that could not be checked is not checked
// either, so that their alarms stay raised and are no news at the next start.
func (d *Daemon) farewell(now time.Time) {
	for _, s := range d.services {
		d.endGuard(now, s, "director stops")
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
