package watchdog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"director/internal/control"
)

// Order hands the checker child what an operator wants done with real servers. It
// answers with Ordered with the same ID, when that has happened and was written down:
// the child knows the pools and their connections, so the whole of it is the
// child's, and the parent only carries the words.
type Order struct {
	ID uint64
	control.Order
}

// Ordered is the outcome of an Order. Error is empty when it was carried out.
type Ordered struct {
	ID     uint64
	Error  string `json:",omitempty"`
	Result control.OrderResult
}

// orderTimeout is how long the child may take for an order; the kernel may be slow.
const orderTimeout = 20 * time.Second

// openOrder is an order that the child has not answered yet.
type openOrder struct {
	role  Role
	reply func(orderReply)
	timer *time.Timer
}

type orderReply struct {
	result control.OrderResult
	err    error
}

// order hands an order to the checker child.
func (p *parent) order(o control.Order, reply func(orderReply)) {
	if len(o.Instances) > 0 {
		p.orderInstances(o, reply)
		return
	}
	c := p.child(RoleCheckers)
	refuse := func(format string, args ...any) { reply(orderReply{err: fmt.Errorf(format, args...)}) }
	switch {
	case p.phase == stopping:
		refuse("%s", p.stopReason())
		return
	case c.want == nil && c.run == nil:
		refuse("the configuration has no virtual server")
		return
	case !c.answers():
		refuse("nothing was changed: %s is %s", c.role.Title(), p.state(c))
		return
	}
	p.lastOrder++
	id := p.lastOrder
	p.await(c, id, reply)
	c.run.ch.Send(Message{Order: &Order{ID: id, Order: o}})
}

// await waits for a child's answer to an order.
func (p *parent) await(c *child, id uint64, reply func(orderReply)) {
	open := &openOrder{role: c.role, reply: reply}
	p.orders[id] = open
	open.timer = p.after(orderTimeout, func() {
		p.answerOrder(id, orderReply{err: fmt.Errorf("%s did not answer within %v: `director status` shows what is in force", c.role.Title(), orderTimeout)})
	})
}

// ordered takes the child's answer.
func (p *parent) ordered(o *Ordered) {
	r := orderReply{result: o.Result}
	if o.Error != "" {
		r.err = errors.New(o.Error)
	}
	p.answerOrder(o.ID, r)
}

// ordersLost answers the orders that a child did not live to answer.
func (p *parent) ordersLost(c *child) {
	for id, open := range p.orders {
		if open.role != c.role {
			continue
		}
		p.answerOrder(id, orderReply{err: fmt.Errorf("%s ended before it answered: `director status` shows what is in force", c.role.Title())})
	}
}

func (p *parent) answerOrder(id uint64, r orderReply) {
	if open := p.orders[id]; open != nil {
		delete(p.orders, id)
		open.timer.Stop()
		open.reply(r)
	}
}

// Order implements control.Handler.
func (h handler) Order(ctx context.Context, o control.Order) (control.OrderResult, error) {
	r, err := ask(ctx, h.p, func(reply func(orderReply)) { h.p.order(o, reply) })
	if err != nil {
		return control.OrderResult{}, err
	}
	return r.result, r.err
}
