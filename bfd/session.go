package bfd

import "time"

// SlowTx is the least interval between packets while a session is not Up (RFC
// 5880 section 6.8.3).
const SlowTx = time.Second

// Settings are the configured properties of one session.
type Settings struct {
	MinTx      time.Duration // Desired Min TX Interval while Up, at least 1 microsecond
	MinRx      time.Duration // Required Min RX Interval, at least 1 microsecond
	IdleTx     time.Duration // the interval of packets while not Up; less than SlowTx counts as SlowTx
	Multiplier uint8         // packets that the peer misses before it declares us down, at least 1
	Passive    bool          // says nothing until the peer was heard
}

// EventKind says what happened to a session.
type EventKind uint8

// The events that move a Session.
const (
	EventStart  EventKind = iota // leave AdminDown
	EventStop                    // go to AdminDown, and tell the peer
	EventPacket                  // a packet that Parse accepted arrived
	EventTimer                   // Deadline has come
	numEvents
)

var eventNames = [numEvents]string{"start", "stop", "packet", "timer"}

func (k EventKind) String() string {
	if int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown event"
}

// Event is one thing that happened.
type Event struct {
	Kind   EventKind
	Packet Packet // EventPacket
}

// ActionKind says what the owner of a Session has to do.
type ActionKind uint8

// The actions, to be carried out in the order in which Step returns them.
const (
	ActionSend   ActionKind = iota // send Packet to the peer
	ActionNotify                   // tell about Transition
	ActionDrop                     // the packet of this event was dropped: Discard says why
	numActions
)

var actionNames = [numActions]string{"send", "notify", "drop"}

func (k ActionKind) String() string {
	if int(k) < len(actionNames) {
		return actionNames[k]
	}
	return "unknown action"
}

// Action is one thing to do.
type Action struct {
	Kind       ActionKind
	Packet     Packet
	Transition Transition
	Discard    Discard
}

// Reason is why a session changed its state.
type Reason uint8

// The reasons for a transition.
const (
	ReasonNone          Reason = iota
	ReasonStarted              // the session was started
	ReasonHandshake            // the peer was heard, and hears us where the state is Up
	ReasonSilence              // nothing was heard for the detection time
	ReasonPeerDown             // the peer says that its session is down
	ReasonPeerAdminDown        // the peer says that its session was taken down on purpose
	ReasonStopped              // the session was stopped
	numReasons
)

var reasonNames = [numReasons]string{
	"none", "started", "handshake", "detection_time_expired", "peer_down", "peer_admin_down", "stopped",
}

// String returns the reason's stable name, fit for a metric label.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown reason"
}

// Transition is one change of state.
type Transition struct {
	From, To State
	Reason   Reason
	Diag     Diag
	Detect   time.Duration // the detection time that was in force
	Silence  time.Duration // ReasonSilence: time since the last packet
	UpFor    time.Duration // from Up: how long the session was Up
}

// Session is the state machine of one session (RFC 5880 section 6.8). It is
// moved only by Step and Reconfigure. The zero value is not usable; see New.
type Session struct {
	set    Settings
	next   *Settings // wait for the end of the Poll Sequence
	random func() float64

	state State
	since time.Time
	diag  Diag
	why   Reason
	discr uint32

	// What was last heard of the peer. Its discriminator is 0 while it is silent.
	remoteState  State
	remoteDiag   Diag
	remoteDiscr  uint32
	remoteMinTx  time.Duration
	remoteMinRx  time.Duration
	remoteMult   uint8
	remoteDemand bool

	// txMin and rxMin are what counts for us: while a Poll Sequence runs, the
	// former values where the new ones would let the peer see us too rarely.
	txMin, rxMin time.Duration
	polling      bool

	sent     time.Time     // the last packet, periodic or not
	interval time.Duration // from which nextTx was computed
	nextTx   time.Time     // zero: no periodic packets
	heard    time.Time     // the last packet from the peer
	expiry   time.Time     // of the detection time; zero: not running
	spared   bool          // the detection time was once begun anew after a stall

	credit    int // packets that may be sent out of turn
	refilled  time.Time
	owed      bool // one could not be sent yet
	owedFinal bool
}

// New returns a session that has not been started, in AdminDown. The
// discriminator is not 0 and no other session's of this host; it should be
// random (RFC 5880 section 6.8.1). random returns numbers in [0, 1) and spreads
// the packets of many sessions.
func New(now time.Time, discr uint32, s Settings, random func() float64) *Session {
	b := &Session{set: s, random: random, discr: discr, since: now, refilled: now, credit: maxCredit}
	b.forget()
	b.txMin, b.rxMin = b.wantedTx(), s.MinRx
	return b
}

// Settings returns the settings in force.
func (b *Session) Settings() Settings { return b.set }

// State returns the present state.
func (b *Session) State() State { return b.state }

// Since returns when the present state was entered.
func (b *Session) Since() time.Time { return b.since }

// Reason returns why the present state was entered.
func (b *Session) Reason() Reason { return b.why }

// Diag returns our diagnostic code.
func (b *Session) Diag() Diag { return b.diag }

// Discr returns our discriminator.
func (b *Session) Discr() uint32 { return b.discr }

// Remote returns what the peer last said of itself. Its discriminator is 0 when
// it has been silent for the detection time, or was never heard.
func (b *Session) Remote() (state State, diag Diag, discr uint32) {
	return b.remoteState, b.remoteDiag, b.remoteDiscr
}

// TxInterval is the interval at which packets are sent, before jitter (RFC 5880
// section 6.8.7); 0 when the peer wants none.
func (b *Session) TxInterval() time.Duration {
	if b.remoteMinRx == 0 {
		return 0
	}
	return max(b.txMin, b.remoteMinRx)
}

// RxInterval is the longest interval at which the peer sends (RFC 5880 section
// 6.8.4); 0 when it was not heard.
func (b *Session) RxInterval() time.Duration {
	if b.remoteMult == 0 {
		return 0
	}
	return max(b.rxMin, b.remoteMinTx)
}

// DetectTime is how long the peer may be silent (RFC 5880 section 6.8.4): its
// multiplier, not ours, times RxInterval. 0 when it was not heard.
func (b *Session) DetectTime() time.Duration {
	return time.Duration(b.remoteMult) * b.RxInterval()
}

// Deadline returns when the next EventTimer is due; zero means never.
func (b *Session) Deadline() time.Time {
	if b.nextTx.IsZero() || (!b.expiry.IsZero() && b.expiry.Before(b.nextTx)) {
		return b.expiry
	}
	return b.nextTx
}

// ExpiryDue reports whether an EventTimer at now would find that the peer was
// silent for too long. The owner reads its sockets once more before it lets that
// happen, so that its own delay is not mistaken for the peer's silence.
func (b *Session) ExpiryDue(now time.Time) bool {
	return !b.expiry.IsZero() && !now.Before(b.expiry)
}

// Reconfigure puts changed settings in force without leaving the state, by a
// Poll Sequence when the session is Up. Changes during a Poll Sequence wait for
// its end: an answer that is under way would be to the former ones.
func (b *Session) Reconfigure(now time.Time, s Settings) {
	if b.polling {
		b.next = &s
		return
	}
	b.next = nil
	old := b.set
	b.set = s
	if b.state == Up && (old.MinTx != s.MinTx || old.MinRx != s.MinRx) {
		b.poll()
		b.interval = 0 // the peer is asked now, not at the next turn
	} else {
		b.txMin, b.rxMin = b.wantedTx(), s.MinRx
	}
	b.schedule(now)
	if b.polling && !b.nextTx.IsZero() {
		b.nextTx = now
	}
}

// Packet is the packet that tells the present state.
func (b *Session) Packet() Packet {
	return Packet{
		Diag:       b.diag,
		State:      b.state,
		Poll:       b.polling,
		Multiplier: b.set.Multiplier,
		MyDiscr:    b.discr,
		YourDiscr:  b.remoteDiscr,
		MinTx:      b.wantedTx(),
		MinRx:      b.set.MinRx,
	}
}

// wantedTx is the Desired Min TX Interval that packets carry (section 6.8.3).
func (b *Session) wantedTx() time.Duration {
	if b.state == Up {
		return b.set.MinTx
	}
	return max(b.set.MinTx, b.set.IdleTx, SlowTx)
}

// poll begins a Poll Sequence for the settings. Until the peer has confirmed,
// packets are not sent less often, nor expected more often (section 6.8.3).
func (b *Session) poll() {
	b.polling = true
	b.txMin = min(b.txMin, b.wantedTx())
	b.rxMin = max(b.rxMin, b.set.MinRx)
}

// endPoll ends a Poll Sequence, if there is one, and puts in force what waited for
// its end.
func (b *Session) endPoll(now time.Time) {
	b.polling = false
	b.txMin, b.rxMin = b.wantedTx(), b.set.MinRx
	if b.next != nil {
		b.Reconfigure(now, *b.next)
	}
}

// forget is what section 6.8.1 says of the peer's values before it was heard, or
// when it fell silent.
func (b *Session) forget() {
	b.remoteState, b.remoteDiscr, b.remoteDemand = Down, 0, false
	b.remoteMinRx = time.Microsecond
	b.remoteMult, b.remoteMinTx = 0, 0
}
