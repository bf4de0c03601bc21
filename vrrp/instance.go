package vrrp

import (
	"net/netip"
	"time"
)

// EventKind says what happened to a virtual router.
type EventKind uint8

// The events that move an Instance.
const (
	EventStart    EventKind = iota // leave INIT (RFC 9568 section 6.4.1)
	EventResume                    // leave INIT as MASTER: a respawned process goes on
	EventShutdown                  // back to INIT; Cause says why
	EventAdvert                    // an advert that Parse and Settings.Check accepted
	EventTimer                     // Deadline has come
	EventPriority                  // the effective priority is now Priority
	EventFault                     // the router cannot serve; Cause says why
	EventRecover                   // it can again; Cause says what recovered
	EventPeerDown                  // another protocol found the router Src dead; Cause says how
	EventLink                      // an interface of the router carries packets again
	EventGate                      // the Answer to question Ask of a promotion gate; Cause.Detail says why
	EventSlept                     // the host was suspended for Interval, which the clock of now does not count
	EventYield                     // a MASTER hands over and stays BACKUP; Cause says why
	EventReady                     // what ActionPrepare asked for is done; Cause.Detail says why not all of it is
	numEvents
)

var eventNames = [numEvents]string{"start", "resume", "shutdown", "advert", "timer", "priority", "fault", "recover", "peer_down", "link", "gate", "slept", "yield", "ready"}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown event"
}

// Event is one thing that happened. Which fields count depends on Kind.
type Event struct {
	Kind     EventKind
	Src      netip.Addr    // EventAdvert: the sender; EventPeerDown: who is dead
	Priority uint8         // EventAdvert: advertised; EventPriority: ours, 1..255
	Interval time.Duration // EventAdvert: advertised; EventPeerDown: how long it takes to find out
	Cause    Cause         // EventShutdown, EventFault, EventRecover, EventPeerDown, EventGate, EventReady
	Gate     int           // EventGate: index of the gate
	Ask      uint64        // EventGate: the question, from ActionAsk
	Answer   Answer        // EventGate
}

// ActionKind says what the owner of an Instance has to do.
type ActionKind uint8

// The actions, to be carried out in the order in which Step returns them.
const (
	ActionAdvert   ActionKind = iota // send an advert with Priority
	ActionAcquire                    // add the virtual addresses, then announce each Repeat times
	ActionRelease                    // remove the virtual addresses
	ActionAnnounce                   // announce the virtual addresses, Repeat times each
	ActionNotify                     // tell about Transition
	ActionAsk                        // find out about promotion gate Gate, for Transition; answer Ask by EventGate
	ActionUnask                      // no answer is needed any more; give back what is held once the addresses are off
	ActionStay                       // tell that a takeover is held back; Transition.Cause says why
	ActionPrepare                    // make ready what the virtual addresses lead to, then answer by EventReady
	ActionUnready                    // tell that they go up although that is not ready; Transition.Cause says why
	numActions
)

var actionNames = [numActions]string{"advert", "acquire", "release", "announce", "notify", "ask", "unask", "stay", "prepare", "unready"}

func (k ActionKind) String() string {
	if int(k) < len(actionNames) {
		return actionNames[k]
	}
	return "unknown action"
}

// Action is one thing to do.
type Action struct {
	Kind       ActionKind
	Priority   uint8 // ActionAdvert
	Repeat     int   // ActionAcquire, ActionAnnounce
	Gate       int   // ActionAsk
	Ask        uint64
	Transition Transition
}

// Instance is the state machine of one virtual router (RFC 9568 section 6.4).
// It is moved only by Step and Reconfigure. The zero value is not usable; see New.
type Instance struct {
	settings Settings
	state    State
	since    time.Time
	cause    Cause // of the newest transition

	source   netip.Addr // of our adverts, for the comparison of equal priorities
	priority uint8      // effective

	// timer is the Adver_Timer in MASTER and the Active_Down_Timer in BACKUP.
	timer    time.Time
	timerSet time.Time     // when the Active_Down_Timer was last started
	interval time.Duration // Active_Adver_Interval: learned in BACKUP, ours in MASTER

	heard time.Time // when the newest advert that was taken arrived

	master         netip.Addr // the MASTER last accepted
	masterPriority uint8
	stopping       bool       // the MASTER sent priority 0
	lower          netip.Addr // a router of lower priority heard since the timer was started
	lowerPriority  uint8
	preemptAt      time.Time // when the preempt delay lets it take over; zero: no lower MASTER was heard
	dead           Cause     // EventPeerDown told that the MASTER is dead: why; see peerDown

	grouped bool      // a Group decides whether a BACKUP takes over
	wants   bool      // grouped BACKUP: would take over
	patient time.Time // grouped: timers of a BACKUP started before this run an interval longer
	silent  time.Time // wants: since when no acceptable advert was heard
	wish    Cause     // wants: why

	sent         time.Time // MASTER: the newest advert
	announce     time.Time // next announcement, zero = none
	announceBig  int       // the next announcement is a second burst of so many; 0: a refresh
	contested    bool      // the next announcement is for another MASTER heard since the last one
	lastConflict time.Time
	prepare      preparation

	gates       gates
	transitions uint64
	moves       map[Move]uint64 // the same by where to and why
}

// New returns a router in INIT that has not been started.
func New(now time.Time, s Settings) *Instance {
	return &Instance{settings: s, since: now, priority: s.Priority, interval: s.AdvertInterval}
}

// Settings returns the settings in force. They must not be changed.
func (i *Instance) Settings() *Settings { return &i.settings }

// State returns the present state.
func (i *Instance) State() State { return i.state }

// Since returns when the present state was entered.
func (i *Instance) Since() time.Time { return i.since }

// Cause returns why the present state was entered.
func (i *Instance) Cause() Cause { return i.cause }

// Priority returns the effective priority.
func (i *Instance) Priority() uint8 { return i.priority }

// Interval returns the advertisement interval in force: the one learned from
// the MASTER in BACKUP (version 3), else the configured one.
func (i *Instance) Interval() time.Duration { return i.interval }

// Master returns the MASTER last heard and its priority; invalid while we are
// it or none was heard.
func (i *Instance) Master() (netip.Addr, uint8) { return i.master, i.masterPriority }

// Transitions returns how often the state changed.
func (i *Instance) Transitions() uint64 { return i.transitions }

// Move is a kind of transition: the state it led to, and why.
type Move struct {
	To     State
	Reason Reason
}

// Moves returns how often the state changed, for each kind of transition that
// happened. The map belongs to the instance.
func (i *Instance) Moves() map[Move]uint64 { return i.moves }

// SetSource tells the address that our adverts come from. Among routers of
// equal priority the highest address wins.
func (i *Instance) SetSource(addr netip.Addr) { i.source = addr }

// MasterDownTime is the Active_Down_Interval with the interval and priority in force.
func (i *Instance) MasterDownTime() time.Duration {
	return i.settings.MasterDownTime(i.priority, i.interval)
}

// Deadline returns when the next EventTimer is due; zero means never.
func (i *Instance) Deadline() time.Time {
	return earliest(earliest(i.timer, i.announce), earliest(i.gates.timer, i.prepare.until))
}

// earliest returns the earlier of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// PreemptsAt returns when a BACKUP takes over from the MASTER of lower priority
// that it hears, where a preempt delay keeps it waiting; else zero.
func (i *Instance) PreemptsAt() time.Time {
	if i.state != Backup || i.wants {
		return time.Time{}
	}
	return i.preemptAt
}

// ListenFirst reports whether the owner must read its sockets once more before it
// steps an EventTimer at now, so that its own delay is not mistaken for the silence
// of others: a BACKUP would take over, or a MASTER has been silent for so long that
// another router may have.
func (i *Instance) ListenFirst(now time.Time) bool {
	switch i.state {
	case Backup:
		return !i.timer.IsZero() && !now.Before(i.timer) ||
			i.wants && !i.gates.timer.IsZero() && !now.Before(i.gates.timer)
	case Master:
		return now.Sub(i.sent) >= i.settings.Takeover()
	}
	return false
}

// Step moves the router by one event and appends to acts what is to be done,
// in order. It allocates nothing when acts has room.
func (i *Instance) Step(now time.Time, ev Event, acts []Action) []Action {
	switch ev.Kind {
	case EventStart:
		if i.state != Init {
			return acts
		}
		return i.begin(now, Cause{Reason: ReasonOwner}, Cause{Reason: ReasonStarted}, acts)
	case EventResume:
		if i.state != Init {
			return acts
		}
		return i.becomeMaster(now, Cause{Reason: ReasonResumed}, acts)
	case EventShutdown:
		return i.leave(now, Init, ev.Cause, acts)
	case EventFault:
		if i.state == Fault {
			i.cause = ev.Cause
			return acts
		}
		return i.leave(now, Fault, ev.Cause, acts)
	case EventRecover:
		if i.state != Fault {
			return acts
		}
		return i.begin(now, ev.Cause, ev.Cause, acts)
	case EventLink:
		if i.state != Master {
			return acts
		}
		// Nobody has heard us meanwhile, and a switch may have forgotten where we
		// are: a backup that took over is told, and so is the link.
		i.timer = now.Add(i.interval)
		return i.announceAgain(now, i.say(now, acts))
	case EventPriority:
		return i.setPriority(now, ev.Priority, acts)
	case EventPeerDown:
		i.peerDown(now, ev)
	case EventAdvert:
		switch i.state {
		case Backup:
			return i.backupAdvert(now, ev, acts)
		case Master:
			return i.masterAdvert(now, ev, acts)
		}
		return acts
	case EventTimer:
		switch i.state {
		case Backup:
			acts = i.backupTimer(now, acts)
		case Master:
			acts = i.masterTimer(now, acts)
		}
		return i.gateTimer(now, acts)
	case EventSlept:
		return i.slept(now, ev.Interval, acts)
	case EventGate:
		return i.gateAnswer(now, ev, acts)
	case EventYield:
		if i.state == Master {
			return i.yield(now, ev.Cause, acts)
		}
	case EventReady:
		return i.prepared(now, ev.Cause.Detail, acts)
	}
	return acts
}

// Reconfigure puts changed settings in force without leaving the state. The
// owner sees to added and removed addresses; a priority that tracking has
// changed arrives by EventPriority afterwards.
func (i *Instance) Reconfigure(now time.Time, s Settings) {
	old := i.settings
	i.settings = s
	if i.state == Master && old.GarpRefresh != s.GarpRefresh && i.announceBig == 0 && !i.Preparing() {
		i.announce = time.Time{}
		if s.GarpRefresh > 0 {
			i.announce = now.Add(s.GarpRefresh)
		}
	}
	i.reconfigureBackup(&old)
	if old.AdvertInterval == s.AdvertInterval && old.Version == s.Version {
		return
	}
	switch i.state {
	case Master:
		i.interval = s.AdvertInterval
		if next := now.Add(i.interval); next.Before(i.timer) {
			i.timer = next
		}
	case Backup:
		if s.Version == 3 && old.Version == 3 && (i.master.IsValid() || i.wants && i.lower.IsValid()) {
			// A BACKUP waits by its MASTER's interval (RFC 9568 section 6.1): by a
			// shorter one of its own it would take over from a healthy router.
			return
		}
		i.interval = s.AdvertInterval
		i.armMasterDown(now)
	default:
		i.interval = s.AdvertInterval
	}
}

// setPriority puts a new effective priority in force. A running master-down
// timer keeps its start, so that the new skew counts at once.
func (i *Instance) setPriority(now time.Time, priority uint8, acts []Action) []Action {
	if priority == i.priority {
		return acts
	}
	old := i.priority
	i.priority = priority
	switch i.state {
	case Backup:
		v, interval := i.settings.Version, i.interval
		skew := SkewTime(v, priority, interval) - SkewTime(v, old, interval)
		if i.dead.Reason == ReasonNone {
			i.timer = i.timer.Add(skew)
		}
		if !i.preemptAt.IsZero() {
			i.preemptAt = i.preemptAt.Add(skew)
		}
		if i.lower.IsValid() && i.lowerPriority >= priority {
			i.wants = false // the MASTER is no longer the lower one
			acts = i.closeGates(acts)
		}
	case Master:
		// Tell at once: a backup that is now better can start counting.
		i.timer = now.Add(i.interval)
		acts = i.say(now, acts)
	}
	return acts
}

// begin takes up the work: the address owner as MASTER, any other as BACKUP. An
// owner in a group waits for the others, and one with gates for their answers.
func (i *Instance) begin(now time.Time, asOwner, asBackup Cause, acts []Action) []Action {
	owner := i.settings.Priority == PriorityOwner
	if owner && !i.grouped && !i.gated(asOwner.Reason) {
		return i.becomeMaster(now, asOwner, acts)
	}
	acts = i.becomeBackup(now, asBackup, acts)
	if owner {
		acts = i.takeOver(now, asOwner, acts)
	}
	return acts
}

// leave goes to a state that takes no part. A MASTER says so with priority 0
// (RFC 9568 section 6.4.3), and gives its addresses up.
func (i *Instance) leave(now time.Time, to State, cause Cause, acts []Action) []Action {
	if i.state == to {
		return acts
	}
	if i.state == Master {
		acts = append(acts,
			Action{Kind: ActionAdvert, Priority: PriorityStop},
			Action{Kind: ActionRelease})
	}
	i.timer = time.Time{}
	i.master, i.masterPriority = netip.Addr{}, 0
	return i.enter(now, to, cause, acts)
}

func (i *Instance) enter(now time.Time, to State, cause Cause, acts []Action) []Action {
	t := Transition{From: i.state, To: to, Cause: cause}
	if to != Master {
		i.announce, i.announceBig, i.contested = time.Time{}, 0, false
		i.prepare = preparation{}
		i.preemptAt = time.Time{}
	}
	i.state, i.since, i.cause, i.wants = to, now, cause, false
	i.transitions++
	if i.moves == nil {
		i.moves = make(map[Move]uint64)
	}
	i.moves[Move{to, cause.Reason}]++
	if len(i.gates.list) > 0 {
		acts = i.enterGates(now, to, acts)
	}
	return append(acts, Action{Kind: ActionNotify, Transition: t})
}
