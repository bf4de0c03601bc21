package bfd

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Two sessions and the link between them, which loses and delays packets but
// does not reorder what one side sends.
type pair struct {
	now   time.Time
	s     [2]*Session
	air   [2][]flight // towards each side
	loss  float64
	delay time.Duration
	cut   [2]bool // towards each side
	rng   *rand.Rand
	moves [2][]Transition
	at    [2][]time.Time
	sent  [2][]time.Time
}

type flight struct {
	at time.Time
	p  Packet
}

func newLinkPair(seed uint64, a, b Settings, loss float64, delay time.Duration) *pair {
	p := &pair{now: epoch, loss: loss, delay: delay, rng: rand.New(rand.NewPCG(seed, 2))}
	for i, set := range []Settings{a, b} {
		p.s[i] = New(epoch, uint32(0x100+i), set, p.rng.Float64)
		p.step(i, Event{Kind: EventStart})
	}
	return p
}

func (p *pair) step(i int, ev Event) {
	for _, a := range p.s[i].Step(p.now, ev, nil) {
		switch a.Kind {
		case ActionNotify:
			p.moves[i], p.at[i] = append(p.moves[i], a.Transition), append(p.at[i], p.now)
		case ActionSend:
			p.sent[i] = append(p.sent[i], p.now)
			if p.cut[1-i] || p.rng.Float64() < p.loss {
				continue
			}
			at := p.now.Add(time.Duration(p.rng.Int64N(int64(p.delay) + 1)))
			if q := p.air[1-i]; len(q) > 0 && at.Before(q[len(q)-1].at) {
				at = q[len(q)-1].at
			}
			p.air[1-i] = append(p.air[1-i], flight{at, a.Packet})
		}
	}
}

// run lets time pass, until a moment or until done says so.
func (p *pair) run(d time.Duration, done func() bool) bool {
	end := p.now.Add(d)
	for {
		if done != nil && done() {
			return true
		}
		next, side, packet := end, -1, false
		for i := range p.s {
			if t := p.s[i].Deadline(); !t.IsZero() && t.Before(next) {
				next, side, packet = t, i, false
			}
		}
		for i := range p.s {
			if q := p.air[i]; len(q) > 0 && !q[0].at.After(next) {
				next, side, packet = q[0].at, i, true
			}
		}
		if p.now.Before(next) {
			p.now = next
		}
		switch {
		case side < 0:
			return false
		case packet:
			f := p.air[side][0]
			p.air[side] = p.air[side][1:]
			wire := AppendPacket(nil, &f.p)
			got, why := Parse(wire)
			if why != DiscardNone {
				panic(why.String())
			}
			p.step(side, Event{Kind: EventPacket, Packet: got})
		default:
			p.step(side, Event{Kind: EventTimer})
		}
	}
}

func (p *pair) bothUp() bool { return p.s[0].State() == Up && p.s[1].State() == Up }

func drawSettings(t *rapid.T, passive bool) Settings {
	interval := rapid.SampledFrom([]time.Duration{10 * ms, 50 * ms, 300 * ms, time.Second, 3 * time.Second})
	return Settings{
		MinTx: interval.Draw(t, "min_tx"), MinRx: interval.Draw(t, "min_rx"), IdleTx: time.Second,
		Multiplier: uint8(rapid.IntRange(1, 10).Draw(t, "multiplier")), Passive: passive,
	}
}

// On a link that delays but loses nothing the session comes up within a few
// packets and stays up, at the negotiated pace; a cut is noticed within the
// detection time.
func TestTwoSessions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawSettings(t, false)
		b := drawSettings(t, rapid.Bool().Draw(t, "passive"))
		delay := time.Duration(rapid.IntRange(0, 900).Draw(t, "delay us")) * us
		p := newLinkPair(rapid.Uint64().Draw(t, "seed"), a, b, 0, delay)
		slow := max(a.MinTx, b.MinTx, a.MinRx, b.MinRx, time.Second)
		if !p.run(3*slow, p.bothUp) {
			t.Fatalf("not up: %v and %v", p.s[0].State(), p.s[1].State())
		}
		p.run(3*slow, nil)
		if !p.bothUp() || p.s[0].polling || p.s[1].polling {
			t.Fatalf("did not stay up: %v and %v", p.moves[0], p.moves[1])
		}
		for i, pace := range []time.Duration{max(a.MinTx, b.MinRx), max(b.MinTx, a.MinRx)} {
			if p.s[i].TxInterval() != pace || p.s[1-i].RxInterval() != pace {
				t.Fatalf("side %d sends every %v, the other one expects %v, want %v", i, p.s[i].TxInterval(), p.s[1-i].RxInterval(), pace)
			}
			if want := pace * time.Duration([]uint8{a.Multiplier, b.Multiplier}[i]); p.s[1-i].DetectTime() != want {
				t.Fatalf("side %d is missed after %v, want %v", i, p.s[1-i].DetectTime(), want)
			}
		}
		from := len(p.sent[0])
		begin := p.now
		p.run(20*slow, nil)
		if gaps, span := len(p.sent[0])-from, p.now.Sub(begin); gaps > 0 {
			mean, pace := span/time.Duration(gaps), p.s[0].TxInterval()
			if mean < pace*3/4-pace/20 || mean > pace+pace/20 {
				t.Fatalf("sends every %v on average, agreed was %v", mean, pace)
			}
		}
		// Silence, one way or both.
		for i := range p.cut {
			p.cut[i] = i == 0 || rapid.Bool().Draw(t, "both ways")
		}
		cutAt, detect := p.now, p.s[0].DetectTime()
		p.run(detect+delay, func() bool { return p.s[0].State() == Down })
		last := p.moves[0][len(p.moves[0])-1]
		if p.s[0].State() != Down || last.Reason != ReasonSilence || last.Silence != detect {
			t.Fatalf("after %v: %v, %+v", p.now.Sub(cutAt), p.s[0].State(), last)
		}
		// The other side does not stay Up: it is told, or finds out.
		other := max(p.s[1].DetectTime(), 0)
		if !p.run(other+delay+us, func() bool { return p.s[1].State() != Up }) {
			t.Fatalf("the other side is still Up %v later", other)
		}
		p.cut = [2]bool{}
		if !p.run(4*slow+other, p.bothUp) {
			t.Fatalf("not up again: %v and %v", p.s[0].State(), p.s[1].State())
		}
	})
}

// Whatever the link loses, and whoever is taken down, restarted or given other
// timers: nobody is Up for longer than a detection time while the other is not,
// and when the link is sound again, both come up.
func TestLossyLink(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSettings(t, false), drawSettings(t, false)
		p := newLinkPair(rapid.Uint64().Draw(t, "seed"), a, b, rapid.Float64Range(0, 0.6).Draw(t, "loss"), ms/2)
		var alone [2]time.Time // since when a side has been Up alone
		check := func() bool {
			for i, s := range p.s {
				switch {
				case s.State() != Up || p.s[1-i].State() == Up || p.s[1-i].State() == Init:
					alone[i] = time.Time{}
				case alone[i].IsZero():
					alone[i] = p.now
				case p.now.Sub(alone[i]) > s.DetectTime()+s.RxInterval()+10*ms:
					t.Fatalf("side %d has been Up alone for %v, its detection time is %v", i, p.now.Sub(alone[i]), s.DetectTime())
				}
			}
			return false
		}
		slow := max(a.MinTx, b.MinTx, a.MinRx, b.MinRx, time.Second)
		for range rapid.IntRange(1, 8).Draw(t, "events") {
			p.run(time.Duration(rapid.Int64Range(0, int64(4*slow)).Draw(t, "pause")), check)
			i := rapid.IntRange(0, 1).Draw(t, "side")
			switch rapid.IntRange(0, 4).Draw(t, "event") {
			case 0:
				p.step(i, Event{Kind: EventStop})
			case 1:
				p.step(i, Event{Kind: EventStart})
			case 2:
				p.s[i].Reconfigure(p.now, drawSettings(t, false))
			case 3: // dies without a word, and begins anew
				p.s[i] = New(p.now, p.s[i].Discr()+0x10, p.s[i].Settings(), p.rng.Float64)
				p.step(i, Event{Kind: EventStart})
			case 4:
				p.cut[i] = !p.cut[i]
			}
		}
		p.loss, p.cut = 0, [2]bool{}
		for i := range p.s {
			p.step(i, Event{Kind: EventStart})
		}
		slow = max(slow, 3*time.Second) // timers may have been changed
		if !p.run(40*slow, func() bool { check(); return p.bothUp() && !p.s[0].polling && !p.s[1].polling }) {
			t.Fatalf("not up: %v and %v", p.s[0].State(), p.s[1].State())
		}
		p.run(5*slow, nil)
		if !p.bothUp() {
			t.Fatal("did not stay up")
		}
	})
}

// B20: what is wrong in an implementation in use shows as a difference here.
func TestB20FaultsOfOthers(t *testing.T) {
	// It ignores the other side's Required Min RX and the second of slow start.
	d := up(t, settings)
	d.step(10*ms, from(Up, func(p *Packet) { p.MinRx = 2 * time.Second }))
	if d.b.TxInterval() != 2*time.Second {
		t.Errorf("sends every %v to a peer that wants 2 s", d.b.TxInterval())
	}
	d = start(t, settings)
	if d.b.TxInterval() < time.Second || d.sent().MinTx < time.Second {
		t.Errorf("sends every %v before it is Up", d.b.TxInterval())
	}
	// It computes the detection time from its own multiplier.
	d = up(t, settings)
	d.step(10*ms, from(Up, func(p *Packet) { p.Multiplier = 20 }))
	if d.b.DetectTime() != time.Second {
		t.Errorf("detects in %v", d.b.DetectTime())
	}
	// After a cut every new session is killed by what is left of the old one: the
	// packets of a peer that has not noticed yet must not keep us from coming up.
	p := newLinkPair(1, settings, settings, 0, ms)
	p.run(5*time.Second, p.bothUp)
	p.cut[0] = true
	p.run(160*ms, nil)
	p.cut[0] = false
	begin := p.now
	if !p.run(3*time.Second, p.bothUp) {
		t.Fatal("does not come back")
	}
	p.run(3*time.Second, nil)
	for i := range p.moves {
		if n := len(slices.DeleteFunc(slices.Clone(p.at[i]), func(at time.Time) bool { return at.Before(begin) })); n > 3 {
			t.Errorf("side %d: %d changes after the cut", i, n)
		}
	}
}
