package vrrpd

import (
	"time"

	"director/config"
	"director/internal/control"
	"director/vrrp"
)

// watchedInterface is an interface that is tracked, or whose states count after
// a delay: up while it exists and can carry packets.
type watchedInterface struct {
	delayed
	name   string
	absent bool
	told   bool // it is tracked, so that its changes are told
}

func (w *watchedInterface) id() trackerKey { return trackerKey{config.KindInterface, w.name} }

func (w *watchedInterface) cause() vrrp.Cause {
	if w.absent {
		return vrrp.Cause{Reason: vrrp.ReasonInterfaceAbsent, Detail: w.name}
	}
	return vrrp.Cause{Reason: vrrp.ReasonInterfaceDown, Detail: w.name}
}

func (w *watchedInterface) finding() string {
	if w.verdict() == vrrp.Up {
		return "interface " + w.name + " is up"
	}
	return w.cause().String()
}

// resume goes on from what a former process believed, so that the time during
// which an interface has been down or up counts anew and not as nothing.
func (w *watchedInterface) resume(now time.Time, old control.Tracker) {
	if w.delayed.resume(now, old) && w.absent {
		w.set(now, vrrp.Down)
	}
}

// look takes an interface's present state and reports whether the verdict has
// changed. One that does not exist is down at once: it does not flap.
func (w *watchedInterface) look(now time.Time, e *engine) bool {
	ifi, ok := e.link(w.name)
	w.absent = !ok
	switch {
	case !ok:
		return w.set(now, vrrp.Down)
	case ifi.Up:
		return w.see(now, vrrp.Up)
	}
	return w.see(now, vrrp.Down)
}

// configureInterfaces watches the interfaces that are tracked or have delays.
func (e *engine) configureInterfaces(now time.Time, cfgs []config.InterfaceTracker, used map[trackerKey]bool, old map[trackerKey]tracker) {
	watch := func(name string, up, down time.Duration) {
		key := trackerKey{config.KindInterface, name}
		w, ok := old[key].(*watchedInterface)
		if !ok {
			w = &watchedInterface{name: name}
			w.heapSlot = -1
			e.timers.add(w)
		}
		w.up, w.down, w.told = up, down, used[key]
		w.look(now, e)
		e.timers.fix(w)
		e.trackers[key] = w
	}
	for _, c := range cfgs {
		watch(c.Name, c.UpDelay.D(), c.DownDelay.D())
	}
	for key := range used {
		if key.kind == config.KindInterface && e.trackers[key] == nil {
			watch(key.name, 0, 0)
		}
	}
}

// interfaceChanged looks at an interface that may have changed.
func (e *engine) interfaceChanged(now time.Time, name string) {
	w, ok := e.trackers[trackerKey{config.KindInterface, name}].(*watchedInterface)
	if !ok {
		return
	}
	from := said(w)
	changed := w.look(now, e)
	e.timers.fix(w)
	if changed {
		e.changed(now, w, from)
	}
}

// interfaceFault says why an interface does not allow a router to serve, nil when it does.
func (e *engine) interfaceFault(name string) *vrrp.Cause {
	if w, ok := e.trackers[trackerKey{config.KindInterface, name}].(*watchedInterface); ok {
		if w.verdict() == vrrp.Up {
			return nil
		}
		c := w.cause()
		return &c
	}
	switch ifi, ok := e.link(name); {
	case !ok:
		return &vrrp.Cause{Reason: vrrp.ReasonInterfaceAbsent, Detail: name}
	case !ifi.Up:
		return &vrrp.Cause{Reason: vrrp.ReasonInterfaceDown, Detail: name}
	}
	return nil
}
