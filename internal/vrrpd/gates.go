package vrrpd

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/vrrp"
)

// gatekeeper finds out about promotion gates away from the loop. Answers come back
// through the inbox. The loop alone calls its methods, which do not wait.
type gatekeeper interface {
	ask(gateQuestion)
	// cancel takes back all open questions of a router.
	cancel(router string)
	// unlock gives up a router's lock, and takes back a question for it.
	unlock(router string)
}

// gateQuestion is one question about one gate.
type gateQuestion struct {
	router string // its id
	gate   int
	id     uint64 // of the question
	cfg    *config.Gate
	note   string      // for a lock: who we are
	places []gatePlace // for vip_free: what to look for
}

// gatePlace is an address and the interface on whose link it is looked for.
type gatePlace struct {
	device string
	addr   netip.Addr
}

// gateAnswer is posted when a question has its answer.
type gateAnswer struct {
	router string
	gate   int
	id     uint64
	answer vrrp.Answer
	detail string
}

// noGates is the gatekeeper that knows nothing.
type noGates struct{}

func (noGates) ask(gateQuestion) {}
func (noGates) cancel(string)    {}
func (noGates) unlock(string)    {}

// gateList translates the configured gates into the state machine's terms.
func gateList(c *config.Instance) []vrrp.Gate {
	var list []vrrp.Gate
	for i := range c.Gates {
		g := &c.Gates[i]
		v := vrrp.Gate{
			Name: g.Name(), Timeout: g.Timeout.D(), Promote: g.Otherwise == "promote", Pause: g.Retry.D(), Before: vrrp.BeforeAny,
		}
		switch g.Before {
		case config.BeforeTakeover:
			v.Before = vrrp.BeforeSilent | vrrp.BeforeStopped
		case config.BeforePreempt:
			v.Before = vrrp.BeforePreempt
		}
		switch g.Kind {
		case config.GateReference, config.GatePool:
			v.Ahead = true
		case config.GateVIPFree:
			v.Ahead = true
			v.Timeout += vipFreeGrace // the silence itself is the answer, at the end of the time
		case config.GateLock:
			v.Held = true
		case config.GateFence:
			// Who has said good-bye needs no fencing, and who lives must not be fenced.
			v.Before, v.Last = vrrp.BeforeSilent, true
		}
		list = append(list, v)
	}
	return list
}

// vipFreeGrace is what a probe may take longer than the time that it listens.
const vipFreeGrace = 250 * time.Millisecond

// lockFile is the file of the instance's lock, empty without one.
func lockFile(c *config.Instance) string {
	for i := range c.Gates {
		if c.Gates[i].Kind == config.GateLock {
			return c.Gates[i].File
		}
	}
	return ""
}

// configureGates gives a router its gates.
func (e *engine) configureGates(r *router, now time.Time, before *config.Instance) {
	if had := lockFile(before); had != "" && had != lockFile(r.cfg) {
		e.gates.unlock(r.id)
	}
	for _, a := range r.sm.SetGates(now, gateList(r.cfg), nil) {
		e.carryOut(r, now, a)
	}
}

// askGate carries out ActionAsk.
func (e *engine) askGate(r *router, now time.Time, a vrrp.Action) {
	g := &r.cfg.Gates[a.Gate]
	q := gateQuestion{router: r.id, gate: a.Gate, id: a.Ask, cfg: g}
	switch g.Kind {
	case config.GatePool:
		e.poolQuestions = append(e.poolQuestions, q)
		return
	case config.GateFence:
		e.nextID++
		e.fenceQuestions[e.nextID] = q
		f := &watchdog.Fence{ID: e.nextID, Instance: r.cfg.Name, Gate: a.Gate, Reason: a.Transition.Cause.String()}
		if p := a.Transition.Cause.Peer; p.IsValid() {
			f.Peer = p.String()
		}
		e.send(watchdog.Message{Fence: f})
		return
	case config.GateLock:
		r.unlock = false
		q.note = fmt.Sprintf("%s %s since %s", e.routerID, r.cfg.Name, now.UTC().Format(time.RFC3339))
	case config.GateVIPFree:
		// By the interface of the configuration: a virtual MAC is not ours to send from.
		for _, list := range [][]config.VirtualAddress{r.cfg.Addresses, r.cfg.Excluded} {
			for _, v := range list {
				if addr := v.Prefix.Addr(); vrrp.FamilyOf(addr) == r.key.family {
					q.places = append(q.places, gatePlace{cmp.Or(v.Device, r.cfg.Interface), addr})
				}
			}
		}
	}
	e.gates.ask(q)
}

// unask carries out ActionUnask. A lock is kept until the addresses are off: who
// gets it next may use them at once.
func (e *engine) unask(r *router) {
	of := func(q gateQuestion) bool { return q.router == r.id }
	e.poolQuestions = slices.DeleteFunc(e.poolQuestions, of)
	for id, q := range e.fenceQuestions {
		if of(q) {
			delete(e.fenceQuestions, id)
		}
	}
	e.gates.cancel(r.id)
	if lockFile(r.cfg) == "" {
		return
	}
	if r.unlock = r.pending > 0; !r.unlock {
		e.gates.unlock(r.id)
	}
}

// unlocked gives a lock up when the last address is off.
func (e *engine) unlocked(r *router) {
	if r.unlock && r.pending == 0 {
		r.unlock = false
		e.gates.unlock(r.id)
	}
}

// gateAnswered takes an answer.
func (e *engine) gateAnswered(now time.Time, a gateAnswer) {
	h := e.holdings[a.router]
	if h == nil || h.router == nil {
		return
	}
	r := h.router
	if r.sm.State() == vrrp.Backup {
		e.drain() // the master may have been heard in the meantime
	}
	e.touched = true
	e.step(r, now, vrrp.Event{Kind: vrrp.EventGate, Gate: a.gate, Ask: a.id, Answer: a.answer, Cause: vrrp.Cause{Detail: a.detail}})
}

// fenced takes the outcome of a fencing command.
func (e *engine) fenced(now time.Time, f *watchdog.Fenced) {
	q, ok := e.fenceQuestions[f.ID]
	if !ok {
		return
	}
	delete(e.fenceQuestions, f.ID)
	a := gateAnswer{q.router, q.gate, q.id, vrrp.Untold, f.Result}
	switch {
	case f.OK:
		a.answer = vrrp.Passed
	case f.Failed:
		a.answer = vrrp.Denied
	}
	e.gateAnswered(now, a)
}

// answerPools answers the questions for pools whose states are known.
func (e *engine) answerPools(now time.Time) {
	for open := e.poolQuestions; len(open) > 0; open = e.poolQuestions {
		at := slices.IndexFunc(open, func(q gateQuestion) bool { return e.poolVerdict(q.cfg) != vrrp.Unanswered })
		if at < 0 {
			return
		}
		q := open[at]
		e.poolQuestions = slices.Delete(open, at, at+1)
		var told []string
		for _, name := range q.cfg.Pools {
			told = append(told, name+" is "+e.pools[name])
		}
		e.gateAnswered(now, gateAnswer{q.router, q.gate, q.id, e.poolVerdict(q.cfg), strings.Join(told, ", ")})
	}
}

// poolVerdict says whether all pools of a gate have their quorum.
func (e *engine) poolVerdict(g *config.Gate) vrrp.Answer {
	answer := vrrp.Passed
	for _, name := range g.Pools {
		switch e.pools[name] {
		case "up":
		case "", "unknown":
			if answer == vrrp.Passed {
				answer = vrrp.Unanswered
			}
		default:
			answer = vrrp.Denied
		}
	}
	return answer
}

// stays tells the parent that a takeover is held back.
func (e *engine) stays(r *router, now time.Time, c vrrp.Cause) {
	e.touched = true
	e.send(watchdog.Message{Event: &control.Event{
		Time: now, Generation: r.generation, Kind: "gate", Subject: r.cfg.Name,
		From: "asked", To: "stay", Reason: c.String(), Code: c.Reason.String(), Priority: int(r.sm.Priority()),
	}})
}

// gateStatus tells the gates of a router.
func gateStatus(r *router) []control.Gate {
	var list []control.Gate
	for n, g := range r.sm.Gates() {
		s := control.Gate{Name: g.Gate.Name, Answer: g.Answer.String(), Detail: g.Detail, At: g.At, AskedAt: g.Asked}
		if n < len(r.cfg.Gates) {
			s.Kind, s.Otherwise = string(r.cfg.Gates[n].Kind), r.cfg.Gates[n].Otherwise
		}
		list = append(list, s)
	}
	return list
}
