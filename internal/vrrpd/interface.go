package vrrpd

import (
	"time"

	"director/config"
	"director/vrrp"
)

// watchedInterface is a tracked interface: up while it exists and can carry packets.
type watchedInterface struct {
	name    string
	up      bool
	absent  bool
	changed time.Time
}

func (w *watchedInterface) id() trackerKey { return trackerKey{config.KindInterface, w.name} }

func (w *watchedInterface) since() time.Time { return w.changed }

func (w *watchedInterface) verdict() vrrp.Verdict {
	if w.up {
		return vrrp.Up
	}
	return vrrp.Down
}

func (w *watchedInterface) cause() vrrp.Cause {
	if w.absent {
		return vrrp.Cause{Reason: vrrp.ReasonInterfaceAbsent, Detail: w.name}
	}
	return vrrp.Cause{Reason: vrrp.ReasonInterfaceDown, Detail: w.name}
}

func (w *watchedInterface) finding() string {
	if w.up {
		return "interface " + w.name + " is up"
	}
	return w.cause().String()
}

// configureInterfaces watches the interfaces that are tracked.
func (e *engine) configureInterfaces(now time.Time, used map[trackerKey]bool, old map[trackerKey]tracker) {
	for key := range used {
		if key.kind != config.KindInterface {
			continue
		}
		w, ok := old[key].(*watchedInterface)
		if !ok {
			w = &watchedInterface{name: key.name, changed: now}
			w.look(e)
		}
		e.trackers[key] = w
	}
}

// look takes the interface's present state.
func (w *watchedInterface) look(e *engine) {
	ifi, ok := e.link(w.name)
	w.up, w.absent = ok && ifi.Up, !ok
}

// interfaceChanged looks at an interface that may have changed.
func (e *engine) interfaceChanged(now time.Time, name string) {
	w, ok := e.trackers[trackerKey{config.KindInterface, name}].(*watchedInterface)
	if !ok {
		return
	}
	from := w.verdict()
	if w.look(e); w.verdict() != from {
		w.changed = now
		e.changed(now, w, from)
	}
}
