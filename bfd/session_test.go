package bfd

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	epoch    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	settings = Settings{MinTx: 50 * ms, MinRx: 50 * ms, Multiplier: 3}
)

const (
	ms        = time.Millisecond
	us        = time.Microsecond
	ourDiscr  = 0xd1
	peerDiscr = 0xd2
)

// script drives one session and writes down what it answers.
type script struct {
	t     *testing.T
	b     *Session
	now   time.Time
	acts  []Action
	jitt  float64
	moves []Transition
}

func start(t *testing.T, s Settings) *script {
	d := &script{t: t, now: epoch}
	d.b = New(epoch, ourDiscr, s, func() float64 { return d.jitt })
	d.step(0, Event{Kind: EventStart})
	return d
}

func (d *script) step(at time.Duration, ev Event) string {
	d.now = epoch.Add(at)
	d.acts = d.b.Step(d.now, ev, nil)
	var words []string
	for _, a := range d.acts {
		switch a.Kind {
		case ActionSend:
			w := "send " + a.Packet.State.String()
			if a.Packet.Poll {
				w += " P"
			}
			if a.Packet.Final {
				w += " F"
			}
			words = append(words, w)
		case ActionNotify:
			d.moves = append(d.moves, a.Transition)
			words = append(words, fmt.Sprintf("%v->%v %v", a.Transition.From, a.Transition.To, a.Transition.Reason))
		case ActionDrop:
			words = append(words, "drop "+a.Discard.String())
		}
	}
	return strings.Join(words, ", ")
}

func (d *script) want(at time.Duration, ev Event, want string) {
	d.t.Helper()
	if got := d.step(at, ev); got != want {
		d.t.Errorf("at %v, %v: got %q, want %q", at, ev.Kind, got, want)
	}
}

// sent is the newest packet.
func (d *script) sent() Packet {
	d.t.Helper()
	for i := len(d.acts) - 1; i >= 0; i-- {
		if d.acts[i].Kind == ActionSend {
			return d.acts[i].Packet
		}
	}
	d.t.Fatal("nothing was sent")
	return Packet{}
}

func (d *script) due() time.Duration { return d.b.Deadline().Sub(epoch) }

func from(s State, change ...func(*Packet)) Event {
	p := Packet{State: s, Multiplier: 3, MyDiscr: peerDiscr, YourDiscr: ourDiscr, MinTx: 50 * ms, MinRx: 50 * ms}
	for _, f := range change {
		f(&p)
	}
	return Event{Kind: EventPacket, Packet: p}
}

func poll(p *Packet)  { p.Poll = true }
func final(p *Packet) { p.Final = true }

var timer = Event{Kind: EventTimer}

// up brings a session up within a millisecond, with its Poll Sequence answered.
func up(t *testing.T, s Settings) *script {
	t.Helper()
	d := start(t, s)
	d.step(0, from(Down))
	d.step(0, from(Up, final))
	d.step(ms, from(Up, final))
	if d.b.State() != Up || d.b.polling {
		t.Fatalf("state %v, polling %v", d.b.State(), d.b.polling)
	}
	return d
}

func TestB2WrongDiscriminator(t *testing.T) {
	d := up(t, settings)
	before := d.b.expiry
	d.want(20*ms, from(Down, func(p *Packet) { p.YourDiscr = 1 }), "drop wrong_discriminator")
	if d.b.expiry != before || d.b.State() != Up {
		t.Error("a dropped packet counted")
	}
	// A peer that began anew does not know our discriminator.
	d.want(20*ms, from(Down, func(p *Packet) { p.YourDiscr = 0; p.MyDiscr = 9 }), "Up->Down peer_down, send Down")
	if p := d.sent(); p.YourDiscr != 9 {
		t.Errorf("answers discriminator %#x", p.YourDiscr)
	}
}

func TestB5States(t *testing.T) {
	reach := map[State]func(*script){
		AdminDown: func(d *script) { d.step(0, Event{Kind: EventStop}) },
		Down:      func(*script) {},
		Init:      func(d *script) { d.step(0, from(Down)) },
		Up:        func(d *script) { d.step(0, from(Init)); d.step(0, from(Up, final)) },
	}
	for _, tc := range []struct {
		own, heard State
		want       string
		diag       Diag
	}{
		{Down, AdminDown, "", DiagNone},
		{Down, Down, "Down->Init handshake, send Init", DiagNone},
		{Down, Init, "Down->Up handshake, send Up P", DiagNone},
		{Down, Up, "", DiagNone},
		{Init, AdminDown, "Init->Down peer_admin_down, send Down", DiagPeerDown},
		{Init, Down, "", DiagNone},
		{Init, Init, "Init->Up handshake, send Up P", DiagNone},
		{Init, Up, "Init->Up handshake, send Up P", DiagNone},
		{Up, AdminDown, "Up->Down peer_admin_down, send Down", DiagPeerDown},
		{Up, Down, "Up->Down peer_down, send Down", DiagPeerDown},
		{Up, Init, "", DiagNone},
		{Up, Up, "", DiagNone},
		{AdminDown, AdminDown, "drop admin_down", DiagAdminDown},
		{AdminDown, Down, "drop admin_down", DiagAdminDown},
		{AdminDown, Init, "drop admin_down", DiagAdminDown},
		{AdminDown, Up, "drop admin_down", DiagAdminDown},
	} {
		d := start(t, settings)
		reach[tc.own](d)
		if d.b.State() != tc.own {
			t.Fatalf("did not reach %v", tc.own)
		}
		if got := d.step(ms, from(tc.heard)); got != tc.want || d.b.Diag() != tc.diag {
			t.Errorf("%v hears %v: %q, diagnostic %v; want %q, %v", tc.own, tc.heard, got, d.b.Diag(), tc.want, tc.diag)
		}
	}
	// A stop tells the peer, and a start begins anew.
	d := up(t, settings)
	d.want(5*ms, Event{Kind: EventStop}, "Up->AdminDown stopped, send AdminDown")
	if p := d.sent(); p.Diag != DiagAdminDown || p.YourDiscr != peerDiscr {
		t.Errorf("the good-bye is %+v", p)
	}
	d.want(5*ms, Event{Kind: EventStop}, "")
	d.want(6*ms, Event{Kind: EventStart}, "AdminDown->Down started, send Down")
	d.want(7*ms, Event{Kind: EventStart}, "")
}

func TestB6TransmitInterval(t *testing.T) {
	for _, tc := range []struct{ ours, theirs, want time.Duration }{
		{50 * ms, 50 * ms, 50 * ms}, {50 * ms, 300 * ms, 300 * ms}, {300 * ms, 50 * ms, 300 * ms},
	} {
		for _, mult := range []uint8{1, 2} {
			s := settings
			s.MinTx, s.Multiplier = tc.ours, mult
			d := up(t, s)
			for jitter, part := range map[float64]float64{0: 1, 0.5: 0.875, 0.999999: 0.75} {
				if mult == 1 {
					part = 0.9 - jitter*0.15
				}
				d.jitt = jitter
				at := d.due()
				d.step(at, from(Up, func(p *Packet) { p.MinRx = tc.theirs; p.MinTx = 10 * time.Second }))
				at = d.due()
				d.want(at, timer, "send Up")
				want := time.Duration(part * float64(tc.want))
				if got := d.due() - at; got < want-10*us || got > want+10*us {
					t.Errorf("ours %v, theirs %v, multiplier %d, jitter %v: next after %v, want %v", tc.ours, tc.theirs, mult, jitter, got, want)
				}
			}
		}
	}
	// A peer that wants them slower or faster is obeyed at once.
	d := up(t, settings)
	d.step(10*ms, from(Up, func(p *Packet) { p.MinRx = time.Second }))
	d.want(100*ms, timer, "")
	d.step(120*ms, from(Up))
	d.want(120*ms, timer, "send Up")
}

func TestB7SlowWhileNotUp(t *testing.T) {
	d := start(t, settings)
	if got := d.sent(); got.State != Down || got.MinTx != time.Second || got.MinRx != 50*ms {
		t.Errorf("the first packet is %+v", got)
	}
	if d.due() != time.Second {
		t.Errorf("the next one after %v", d.due())
	}
	d.step(0, from(Down))
	if d.b.State() != Init || d.b.TxInterval() != time.Second || d.sent().MinTx != time.Second {
		t.Errorf("%v: interval %v, says %v", d.b.State(), d.b.TxInterval(), d.sent().MinTx)
	}
	d.step(0, from(Up))
	if d.b.TxInterval() != 50*ms || d.sent().MinTx != 50*ms {
		t.Errorf("%v: interval %v, says %v", d.b.State(), d.b.TxInterval(), d.sent().MinTx)
	}
	d.step(10*ms, from(Down))
	if d.b.TxInterval() != time.Second || d.sent().MinTx != time.Second {
		t.Errorf("%v: interval %v, says %v", d.b.State(), d.b.TxInterval(), d.sent().MinTx)
	}
	idle := settings
	idle.IdleTx = 5 * time.Second
	if d := start(t, idle); d.due() != 5*time.Second {
		t.Errorf("idle_tx 5 s: the next after %v", d.due())
	}
	idle.IdleTx = 10 * ms
	if d := start(t, idle); d.due() != time.Second {
		t.Errorf("idle_tx 10 ms: the next after %v", d.due())
	}
}

func TestB8PeerWantsNothing(t *testing.T) {
	d := up(t, settings)
	nothing := func(p *Packet) { p.MinRx = 0 }
	d.step(10*ms, from(Up, nothing))
	if !d.b.nextTx.IsZero() || d.b.TxInterval() != 0 {
		t.Errorf("next packet at %v", d.b.nextTx)
	}
	d.want(100*ms, timer, "")
	d.want(110*ms, from(Up, nothing, poll), "send Up F") // an answer is no periodic packet
	if !d.b.nextTx.IsZero() {
		t.Error("goes on after an answer")
	}
	d.step(120*ms, from(Up))
	if d.b.nextTx.IsZero() {
		t.Error("does not go on")
	}
}

func TestB9DetectionTime(t *testing.T) {
	for _, tc := range []struct {
		mult       uint8 // the peer's
		minTx, own time.Duration
		want       time.Duration
	}{
		{3, 50 * ms, 50 * ms, 150 * ms},
		{7, 50 * ms, 20 * ms, 350 * ms}, // not our 3
		{2, 20 * ms, 300 * ms, 600 * ms},
		{1, time.Second, 300 * ms, time.Second},
	} {
		s := settings
		s.MinRx = tc.own
		d := up(t, s)
		d.step(10*ms, from(Up, func(p *Packet) { p.Multiplier, p.MinTx = tc.mult, tc.minTx }))
		if d.b.DetectTime() != tc.want {
			t.Errorf("%+v: %v", tc, d.b.DetectTime())
		}
		at := 10*ms + tc.want
		if d.b.ExpiryDue(epoch.Add(at-1)) || !d.b.ExpiryDue(epoch.Add(at)) {
			t.Errorf("%+v: not due in time", tc)
		}
		d.step(at-1, timer)
		if d.b.State() != Up {
			t.Errorf("%+v: down too early", tc)
		}
		d.step(at, timer)
		if d.b.State() != Down {
			t.Errorf("%+v: not down", tc)
		}
	}
}

func TestB10Silence(t *testing.T) {
	d := up(t, settings)
	d.step(10*ms, from(Up))
	d.step(100*ms, timer)
	d.want(160*ms, timer, "Up->Down detection_time_expired, send Down")
	if p := d.sent(); p.Diag != DiagExpired || p.YourDiscr != 0 {
		t.Errorf("sent %+v", p)
	}
	m := d.moves[len(d.moves)-1]
	if m.Silence != 150*ms || m.Detect != 150*ms || m.UpFor != 160*ms || m.Diag != DiagExpired {
		t.Errorf("told %+v", m)
	}
	// In Down, too, the peer's discriminator is forgotten, by silence only.
	d = up(t, settings)
	d.step(10*ms, from(Down))
	if p := d.sent(); p.YourDiscr != peerDiscr {
		t.Errorf("sent %+v", p)
	}
	d.want(160*ms, timer, "")
	if _, _, discr := d.b.Remote(); discr != 0 {
		t.Errorf("still knows %#x", discr)
	}
	// Init is not left by silence alone: it goes back to Down.
	d = start(t, settings)
	d.step(0, from(Down))
	d.want(150*ms, timer, "Init->Down detection_time_expired, send Down")
}

// What was not seen because this host stood still is no silence of the peer.
func TestStallIsNoSilence(t *testing.T) {
	d := up(t, settings)
	d.step(10*ms, from(Up))
	d.want(900*ms, timer, "send Up")
	if d.due() > 950*ms || d.b.ExpiryDue(epoch.Add(1049*ms)) {
		t.Error("the peer got no second detection time")
	}
	d.step(1049*ms, timer)
	d.want(1050*ms, timer, "Up->Down detection_time_expired, send Down")
	// And again only after the peer was heard.
	d = up(t, settings)
	d.step(900*ms, timer)
	d.want(5*time.Second, timer, "Up->Down detection_time_expired, send Down")
}

func TestB11PollSequence(t *testing.T) {
	d := start(t, settings)
	d.step(0, from(Down))
	d.want(0, from(Init), "Init->Up handshake, send Up P")
	d.want(ms, from(Up, poll), "send Up F") // never both
	d.want(51*ms, timer, "send Up P")       // until it is answered
	d.step(52*ms, from(Up, final))
	d.want(101*ms, timer, "send Up")
	d.want(102*ms, from(Up, poll), "send Up F") // at once

	slower := settings
	slower.MinTx, slower.MinRx = 200*ms, 20*ms
	d.step(110*ms, from(Up, func(p *Packet) { p.MinTx = 10 * ms }))
	d.b.Reconfigure(d.now, slower)
	d.want(110*ms, timer, "send Up P")
	if p := d.sent(); p.MinTx != 200*ms || p.MinRx != 20*ms {
		t.Errorf("the Poll says %+v", p)
	}
	fast := func(p *Packet) { p.MinTx, p.MinRx = 10*ms, 10*ms }
	d.step(111*ms, from(Up, fast))
	if d.b.TxInterval() != 50*ms || d.b.DetectTime() != 150*ms {
		t.Errorf("before F: sends every %v, detects in %v", d.b.TxInterval(), d.b.DetectTime())
	}
	// A further change waits: what comes back may answer the first one.
	third := settings
	third.MinTx, third.MinRx = 400*ms, 400*ms
	d.b.Reconfigure(d.now, third)
	d.want(160*ms, timer, "send Up P")
	if p := d.sent(); p.MinTx != 200*ms {
		t.Errorf("during the Poll: %+v", p)
	}
	d.step(161*ms, from(Up, fast, final))
	if d.b.TxInterval() != 200*ms || d.b.DetectTime() != 3*400*ms {
		t.Errorf("after F: sends every %v, detects in %v", d.b.TxInterval(), d.b.DetectTime())
	}
	d.want(161*ms, timer, "send Up P")
	d.step(162*ms, from(Up, fast, final))
	if d.b.TxInterval() != 400*ms || d.b.polling {
		t.Errorf("after the second F: sends every %v", d.b.TxInterval())
	}
	// Faster sending and slower expectation count at once.
	d = up(t, settings)
	quick := settings
	quick.MinTx, quick.MinRx = 20*ms, 100*ms
	d.step(10*ms, from(Up, fast))
	d.b.Reconfigure(d.now, quick)
	if d.b.TxInterval() != 20*ms || d.b.DetectTime() != 300*ms {
		t.Errorf("sends every %v, detects in %v", d.b.TxInterval(), d.b.DetectTime())
	}
	// Nothing is left of a Poll Sequence when the session goes down.
	d.want(11*ms, from(Down), "Up->Down peer_down, send Down")
	if d.b.polling {
		t.Error("still polling")
	}
}

func TestB12StateIsToldAtOnce(t *testing.T) {
	d := start(t, settings)
	for i, step := range []struct {
		ev   Event
		want string
	}{
		{from(Down), "Down->Init handshake, send Init"},
		{from(Up), "Init->Up handshake, send Up P"},
		{from(AdminDown), "Up->Down peer_admin_down, send Down"},
	} {
		d.want(time.Duration(i)*ms, step.ev, step.want)
	}
}

// A flood of packets draws a bounded number of answers, and the last one is
// answered all the same.
func TestAnswersAreBounded(t *testing.T) {
	d := up(t, settings)
	sent := 0
	count := func() {
		for _, a := range d.acts {
			if a.Kind == ActionSend {
				sent++
			}
		}
	}
	const span = 200 * ms
	for at := 2 * ms; at < span; at += 100 * us {
		ev := from(Up, poll)
		if at/(100*us)%2 == 0 {
			ev = from(Down, poll)
		}
		d.step(at, ev)
		count()
		for d.due() <= at {
			d.step(at, timer)
			count()
		}
	}
	if limit := maxCredit + int(span/creditTime) + 2; sent > limit || sent < limit/2 {
		t.Errorf("%d packets within %v, the limit is %d", sent, span, limit)
	}
	at := d.due()
	if !d.b.owed || at > span+creditTime {
		t.Errorf("next at %v", at)
	}
	d.step(at, timer)
	if !d.sent().Final {
		t.Errorf("the last Poll stayed without an answer: %+v", d.sent())
	}
}

func TestB16BothSidesActiveAndPassive(t *testing.T) {
	d := start(t, settings)
	if d.sent().YourDiscr != 0 {
		t.Error("an active session does not speak first")
	}
	quiet := settings
	quiet.Passive = true
	d = &script{t: t, b: New(epoch, ourDiscr, quiet, func() float64 { return 0 })}
	d.want(0, Event{Kind: EventStart}, "AdminDown->Down started")
	if !d.b.Deadline().IsZero() {
		t.Errorf("a passive session wants to do something in %v", d.due())
	}
	d.want(ms, from(Down, func(p *Packet) { p.YourDiscr = 0 }), "Down->Init handshake, send Init")
	d.want(2*ms, from(Up), "Init->Up handshake, send Up P")
	d.want(52*ms, timer, "send Up P")
	d.want(152*ms, timer, "Up->Down detection_time_expired")
	if !d.b.Deadline().IsZero() {
		t.Errorf("goes on in %v", d.due())
	}
}

// The echo function is not offered, and no packet asks for it.
func TestB19NoEcho(t *testing.T) {
	d := start(t, settings)
	for i, ev := range []Event{from(Down), from(Up, func(p *Packet) { p.MinEchoRx = 50 * ms }), from(Up, poll)} {
		d.step(time.Duration(i)*ms, ev)
		if p := d.sent(); p.MinEchoRx != 0 || p.Demand {
			t.Errorf("in %v: %+v", d.b.State(), p)
		}
	}
}

// A peer in demand mode is left in peace while both are Up, but asked.
func TestDemandOfThePeer(t *testing.T) {
	d := up(t, settings)
	demand := func(p *Packet) { p.Demand = true }
	d.step(10*ms, from(Up, demand))
	if !d.b.nextTx.IsZero() {
		t.Error("goes on sending")
	}
	slow := settings
	slow.MinTx = 100 * ms
	d.b.Reconfigure(d.now, slow)
	d.want(10*ms, timer, "send Up P")
	d.step(11*ms, from(Up, demand, final))
	if !d.b.nextTx.IsZero() {
		t.Error("goes on sending after the Poll")
	}
	d.want(12*ms, from(Down, demand), "Up->Down peer_down, send Down")
	if d.b.nextTx.IsZero() {
		t.Error("silent in Down")
	}
}

func TestReconfigureWhileDown(t *testing.T) {
	d := start(t, settings)
	s := settings
	s.IdleTx = 3 * time.Second
	d.b.Reconfigure(d.now, s)
	if d.due() != 3*time.Second || d.b.polling {
		t.Errorf("next in %v, polling %v", d.due(), d.b.polling)
	}
	if d.b.Settings() != s {
		t.Error("settings are not in force")
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	d := up(t, settings)
	acts := make([]Action, 0, 8)
	now, ev := d.now, from(Up)
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(40 * ms)
		acts = d.b.Step(now, ev, acts[:0])
		acts = d.b.Step(now, timer, acts[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A session that was stopped for a while does not ask for a peer's session that
// may be no more: the peer would drop all that it says.
func TestRestartForgetsThePeer(t *testing.T) {
	d := up(t, settings)
	d.step(10*ms, Event{Kind: EventStop})
	d.step(time.Hour, Event{Kind: EventStart})
	if p := d.sent(); p.YourDiscr != 0 || p.State != Down {
		t.Errorf("begins with %+v", p)
	}
}
