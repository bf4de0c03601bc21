package control

import (
	"context"
	"encoding/json"
	"errors"
)

// Changes are what a configuration does that comes into force: what it would do, in a
// Plan, or what it has done, in a ReloadResult.
type Changes struct {
	// Config lists in what it differs from the one in force: changed
	// vrrp_instance.web.priority: 100 -> 150. Only in a Plan.
	Config []string `json:"config,omitempty"`
	// IPVS lists the operations on the kernel's IPVS in the language of ipvsadm, in order.
	IPVS []string `json:"ipvs,omitempty"`
	// Joining lists those that follow when the checks of a new real server have passed.
	// Only in a Plan.
	Joining []string `json:"ipvs_joining,omitempty"`
	// Repairs is how many of the operations undo what somebody else did to the table.
	Repairs int `json:"ipvs_repairs,omitempty"`
	// VRRP lists what happens to virtual routers and sockets: vrrp_instance web ipv4 starts.
	VRRP []string `json:"vrrp,omitempty"`
	// Host lists the addresses, routes and rules that come and go.
	Host []string `json:"host,omitempty"`
	// More is how many of the lists' lines were left out.
	More int `json:"more,omitempty"`

	Unaffected Unaffected `json:"unaffected"`
}

// Unaffected counts what stays as it is.
type Unaffected struct {
	Services  int `json:"virtual_services"` // of the kernel
	Servers   int `json:"real_servers"`     // in all of these, and in the services that change
	Instances int `json:"vrrp_instances"`   // virtual routers: one for each address family
}

// None says that nothing changes.
func (c *Changes) None() bool {
	return len(c.Config) == 0 && len(c.IPVS) == 0 && len(c.VRRP) == 0 && len(c.Host) == 0 && len(c.Joining) == 0
}

// Join adds what another process says.
func (c *Changes) Join(o *Changes) {
	if o == nil {
		return
	}
	c.Config = append(c.Config, o.Config...)
	c.IPVS = append(c.IPVS, o.IPVS...)
	c.Joining = append(c.Joining, o.Joining...)
	c.Repairs += o.Repairs
	c.VRRP = append(c.VRRP, o.VRRP...)
	c.Host = append(c.Host, o.Host...)
	c.More += o.More
	c.Unaffected.Services += o.Unaffected.Services
	c.Unaffected.Servers += o.Unaffected.Servers
	c.Unaffected.Instances += o.Unaffected.Instances
}

// Shorten leaves at most n lines of each list.
func (c *Changes) Shorten(n int) {
	for _, list := range []*[]string{&c.Config, &c.IPVS, &c.Joining, &c.VRRP, &c.Host} {
		if len(*list) > n {
			c.More += len(*list) - n
			*list = (*list)[:n:n]
		}
	}
}

// Plan is what a reload of a file would do.
type Plan struct {
	File     string   `json:"file"`
	Warnings []string `json:"warnings,omitempty"`
	// Errors say why the reload would be refused; there are no changes then.
	Errors  []string `json:"errors,omitempty"`
	Changes Changes  `json:"changes"`
}

// PlanQuery asks for a Plan.
type PlanQuery struct {
	File string `json:"file"` // absolute; empty: the file in use, which the daemon reads
	Text []byte `json:"text"` // of File: the daemon may not see the files that its client sees
}

// Planner is the part of a Handler that plans.
type Planner interface {
	// Plan works out what a reload of a file would do, and changes nothing.
	Plan(ctx context.Context, q PlanQuery) (Plan, error)
}

// OpPlan answers Plan; it takes a PlanQuery.
const OpPlan Op = "plan"

// Plan asks what a reload of a file would do.
func (c *Client) Plan(ctx context.Context, q PlanQuery) (Plan, error) {
	args, err := json.Marshal(q)
	if err != nil {
		return Plan{}, err
	}
	res, err := c.call(ctx, Request{Op: OpPlan, Args: args})
	if err != nil {
		return Plan{}, err
	}
	if res.Plan == nil {
		return Plan{}, errors.New("director answered without a plan")
	}
	return *res.Plan, nil
}

// plan answers OpPlan.
func (s *Listener) plan(req Request) (res Response, err error) {
	var q PlanQuery
	if err := json.Unmarshal(req.Args, &q); err != nil {
		return res, errors.New("control: malformed question for a plan: " + err.Error())
	}
	p, err := s.handler.Plan(s.ctx, q)
	res.Plan = &p
	return res, err
}
