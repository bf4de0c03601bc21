package bfd

import "time"

// maxCredit and creditTime bound what is sent out of turn: answers to Polls and
// news of the state. Sound peers cause a few of them at a time; no flood of
// packets causes more than this.
const (
	maxCredit  = 10
	creditTime = 10 * time.Millisecond
)

// Step moves the session by one event and appends to acts what is to be done,
// in order. now is the time of the event: of a packet, its arrival. It allocates
// nothing when acts has room.
func (b *Session) Step(now time.Time, ev Event, acts []Action) []Action {
	switch ev.Kind {
	case EventStart:
		if b.state != AdminDown {
			return acts
		}
		// What was known of the peer may be of one that is no more, and it drops
		// packets for the discriminator of another session.
		b.forget()
		b.diag = DiagNone
		return b.enter(now, Down, ReasonStarted, acts)
	case EventStop:
		if b.state == AdminDown {
			return acts
		}
		b.diag = DiagAdminDown
		return b.enter(now, AdminDown, ReasonStopped, acts)
	case EventPacket:
		return b.packet(now, &ev.Packet, acts)
	case EventTimer:
		return b.timer(now, acts)
	}
	return acts
}

// packet is RFC 5880 section 6.8.6 from where the session has been found.
func (b *Session) packet(now time.Time, p *Packet, acts []Action) []Action {
	if p.YourDiscr != 0 && p.YourDiscr != b.discr {
		return append(acts, Action{Kind: ActionDrop, Discard: DiscardWrongDiscr})
	}
	if b.state == AdminDown {
		return append(acts, Action{Kind: ActionDrop, Discard: DiscardAdminDown})
	}
	b.remoteDiscr, b.remoteState, b.remoteDiag = p.MyDiscr, p.State, p.Diag
	b.remoteDemand = p.Demand
	b.remoteMinTx, b.remoteMinRx, b.remoteMult = p.MinTx, p.MinRx, p.Multiplier
	if p.Final && b.polling {
		b.endPoll(now)
	}
	b.heard, b.spared = now, false
	before := b.state
	switch {
	case p.State == AdminDown:
		if b.state != Down {
			b.diag = DiagPeerDown
			acts = b.enter(now, Down, ReasonPeerAdminDown, acts)
		}
	case b.state == Down && p.State == Down:
		acts = b.enter(now, Init, ReasonHandshake, acts)
	case b.state == Down && p.State == Init, b.state == Init && p.State >= Init:
		acts = b.enter(now, Up, ReasonHandshake, acts)
	case b.state == Up && p.State == Down:
		b.diag = DiagPeerDown
		acts = b.enter(now, Down, ReasonPeerDown, acts)
	}
	b.expiry = now.Add(b.DetectTime())
	if p.Poll {
		return b.outOfTurn(now, true, acts)
	}
	if b.state == before {
		b.schedule(now)
	}
	return acts
}

func (b *Session) timer(now time.Time, acts []Action) []Action {
	if b.ExpiryDue(now) {
		if late := now.Sub(b.expiry); late > b.RxInterval() && !b.spared {
			// We look much later than was due, and found nothing waiting: this host
			// was held up, and nobody can say that the peer was silent meanwhile.
			b.spared = true
			b.expiry = now.Add(b.DetectTime())
		} else {
			acts = b.expire(now, acts)
		}
	}
	if b.nextTx.IsZero() || now.Before(b.nextTx) {
		return acts
	}
	if b.owed {
		return b.outOfTurn(now, b.owedFinal, acts)
	}
	return b.send(now, false, acts)
}

// expire ends a detection time (sections 6.8.1 and 6.8.4).
func (b *Session) expire(now time.Time, acts []Action) []Action {
	t := Transition{Detect: b.DetectTime(), Silence: now.Sub(b.heard)}
	b.expiry = time.Time{}
	b.forget()
	if b.state != Init && b.state != Up {
		b.schedule(now)
		return acts
	}
	b.diag = DiagExpired
	return b.change(now, Down, ReasonSilence, t, acts)
}

func (b *Session) enter(now time.Time, to State, why Reason, acts []Action) []Action {
	return b.change(now, to, why, Transition{Detect: b.DetectTime()}, acts)
}

// change enters a state. The peer is told at once (section 6.8.7), after
// everybody here.
func (b *Session) change(now time.Time, to State, why Reason, t Transition, acts []Action) []Action {
	t.From, t.To, t.Reason = b.state, to, why
	if b.state == Up {
		t.UpFor = now.Sub(b.since)
	}
	b.state, b.since, b.why = to, now, why
	switch to {
	case Up:
		b.diag = DiagNone
		b.poll() // the intervals are no longer the slow ones
	case AdminDown:
		b.expiry = time.Time{}
		fallthrough
	default:
		b.owedFinal = false
		b.endPoll(now)
	}
	t.Diag = b.diag
	acts = append(acts, Action{Kind: ActionNotify, Transition: t})
	return b.outOfTurn(now, false, acts)
}

// outOfTurn sends a packet that cannot wait for its turn, or has it sent as
// soon as may be.
func (b *Session) outOfTurn(now time.Time, final bool, acts []Action) []Action {
	if n := int(now.Sub(b.refilled) / creditTime); n > 0 {
		b.credit = min(maxCredit, b.credit+n)
		b.refilled = now
	}
	final = final || b.owedFinal
	if b.credit > 0 {
		b.credit--
		b.owed, b.owedFinal = false, false
		return b.send(now, final, acts)
	}
	b.owed, b.owedFinal = true, final
	b.nextTx = b.refilled.Add(creditTime)
	return acts
}

// send sends a packet, unless a passive session knows no peer (section 6.8.7),
// and schedules the next.
func (b *Session) send(now time.Time, final bool, acts []Action) []Action {
	b.sent = now
	b.interval = 0
	if !b.set.Passive || b.remoteDiscr != 0 {
		p := b.Packet()
		p.Final = final
		p.Poll = p.Poll && !final // never both (section 6.5)
		acts = append(acts, Action{Kind: ActionSend, Packet: p})
	}
	b.schedule(now)
	return acts
}

// schedule sets the time of the next periodic packet, when the interval is no
// longer the one for which it was set.
func (b *Session) schedule(now time.Time) {
	if b.owed {
		return
	}
	interval := b.TxInterval()
	switch {
	case b.set.Passive && b.remoteDiscr == 0,
		b.remoteDemand && b.state == Up && b.remoteState == Up && !b.polling: // section 6.8.7
		interval = 0
	}
	if interval == 0 {
		b.interval, b.nextTx = 0, time.Time{}
		return
	}
	if interval == b.interval {
		return
	}
	b.interval = interval
	b.nextTx = b.sent.Add(b.jitter(interval))
	if b.nextTx.Before(now) {
		b.nextTx = now
	}
}

// jitter shortens an interval by up to a quarter, and by no less than a tenth if
// the first packet that is lost ends the session (section 6.8.7).
func (b *Session) jitter(interval time.Duration) time.Duration {
	least, most := 0.0, 0.25
	if b.set.Multiplier == 1 {
		least = 0.10
	}
	return interval - time.Duration((least+(most-least)*b.random())*float64(interval))
}
