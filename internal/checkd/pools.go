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
	if at, ok := s.pool.Next(); ok {
		d.rising[s] = at
	} else {
		delete(d.rising, s)
	}
}

// rise moves the weights that rise with time.
func (d *Daemon) rise(now time.Time) {
	for s, at := range d.rising {
		if now.Before(at) {
			continue
		}
		if changes, moved := s.pool.Tick(now); moved || len(changes) > 0 {
			d.announce(now, s, changes)
		}
		d.planRise(s)
	}
}

// nextRise returns when rise has something to do; false: never.
func (d *Daemon) nextRise() (next time.Time, ok bool) {
	for _, at := range d.rising {
		if !ok || at.Before(next) {
			next, ok = at, true
		}
	}
	return next, ok
}

// alarm makes the event of an alarm that is raised or over.
func (d *Daemon) alarm(now time.Time, s *service, c checkers.Change) control.Event {
	e := control.Event{Time: now, Generation: d.generation, Kind: control.KindAlarm, Subject: s.pool.Config().Name,
		From: "clear", To: "raised", Reason: c.Detail}
	if c.Reason == checkers.PanicEnded || c.Reason == checkers.CertificateGood {
		e.From, e.To = e.To, e.From
	}
	_, since := s.pool.Guarding()
	e.Code = checkers.PanicBegan.String()
	if c.Reason == checkers.CertificateEnds || c.Reason == checkers.CertificateGood {
		_, since = s.pool.Expiring()
		e.Code = checkers.CertificateEnds.String()
	}
	e.Alarm = &control.Alarm{Service: e.Subject, Code: e.Code, Level: control.LevelAlarm, Since: since, First: since, Last: now, Count: 1, Reason: c.Detail}
	return e
}

// endGuard ends the alarm of the panic guard of a service that ceases to be watched.
func (d *Daemon) endGuard(now time.Time, s *service, why string) {
	if guarding, _ := s.pool.Guarding(); guarding {
		d.events = append(d.events, d.alarm(now, s, checkers.Change{Reason: checkers.PanicEnded, Detail: why}))
	}
}

// endAlarms ends the alarms of a service that is no more.
func (d *Daemon) endAlarms(now time.Time, s *service) {
	const why = "the virtual server is no more"
	d.endGuard(now, s, why)
	if ends, _ := s.pool.Expiring(); !ends.IsZero() {
		d.events = append(d.events, d.alarm(now, s, checkers.Change{Reason: checkers.CertificateGood, Detail: why}))
	}
}

// farewell tells, before the stop, of what ends with it: the panic guard, and where
// the configuration wants it so (omega) the service itself. A certificate ends all
// the same, so that its alarm stays raised.
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
