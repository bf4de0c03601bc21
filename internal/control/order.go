package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"strconv"
	"time"
)

// What an operator can order for real servers.
const (
	VerbDrain    = "drain"    // no new connections, those that are there go on
	VerbMaintain = "maintain" // out of service at once
	VerbReady    = "ready"    // used as the configuration and its health say
	VerbWeight   = "weight"   // another weight in place of the configured one
	VerbShow     = "show"     // nothing: tells how they are
)

// What an operator can order for virtual routers.
const (
	VerbRelease = "release" // another router is to be MASTER
	VerbPrefer  = "prefer"  // this one is
	VerbAuto    = "auto"    // as the configuration says
)

// Order is what an operator wants to happen with real servers, or with virtual routers.
type Order struct {
	Verb string `json:"verb"`
	// Instances are the virtual routers by their names, or those of sync groups. Servers
	// and Service are then empty.
	Instances []string `json:"instances,omitempty"`
	// Service is a virtual server by its name or address (192.0.2.1:80/tcp,
	// fwmark 3); empty: all that have such servers.
	Service string `json:"service,omitempty"`
	// Servers are names, addresses with or without a port, patterns of these (web*),
	// or "all".
	Servers []string `json:"servers"`
	Weight  string   `json:"weight,omitempty"` // of the verb weight: "10", or "50%" of the configured one
	Reason  string   `json:"reason,omitempty"`
	// Claimed is who the client says that its user is beside what the kernel says,
	// as sudo knows it.
	Claimed string `json:"claimed,omitempty"`
	// For is after how long the order ends by itself; 0: never. Deadline is after how
	// long a drain becomes a maintenance, at the latest; it does as soon as no
	// connection is left. 0: it never does. Both in nanoseconds.
	For      time.Duration `json:"for,omitempty"`
	Deadline time.Duration `json:"deadline,omitempty"`
	// Force carries it out although no server would serve any more, or the pool would
	// lose its quorum.
	Force bool `json:"force,omitempty"`
	// Author is the user as the kernel knows it. The daemon sets it.
	Author string `json:"author,omitempty"`
}

// OrderResult tells what has become of an Order.
type OrderResult struct {
	Servers   []OrderedServer   `json:"servers,omitempty"`
	Instances []OrderedInstance `json:"instances,omitempty"`
	Notes     []string          `json:"notes,omitempty"` // what the operator should know
}

// OrderedServer is a real server that an Order was for, as it is after it.
type OrderedServer struct {
	Service string `json:"service"`
	Was     string `json:"was"` // what was in force before: ready, drain, maintain, weight 50%
	Server
}

// OrderedInstance is a virtual router that an Order was for.
type OrderedInstance struct {
	Name string    `json:"name"`
	Was  string    `json:"was"`           // what was in force before: auto, release, prefer
	Now  *Override `json:"now,omitempty"` // nil: auto
}

// Override is what an operator has ordered for a real server or a virtual router, in
// place of what the configuration and its health say.
type Override struct {
	Order   string    `json:"order"` // drain, maintain, weight; release, prefer
	Weight  string    `json:"weight,omitempty"`
	Author  string    `json:"author"` // the user, as the kernel knows it
	Claimed string    `json:"claimed,omitempty"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"`    // when it ends by itself
	By      time.Time `json:"deadline,omitzero"` // of a drain: when it becomes a maintenance
	// Drained is since when a drain finds no connection left.
	Drained time.Time `json:"drained,omitzero"`
	// After tells of a maintenance that a drain led to it: "drained" or "deadline".
	After string `json:"after,omitempty"`
	// Left are the connections and bound clients that a drain waits for now, and those
	// that the deadline cut off.
	Left uint64 `json:"connections_left,omitempty"`
}

// The values of Override.After.
const (
	AfterDrained  = "drained"
	AfterDeadline = "deadline"
)

// What names what is in force: "drain", "maintain", "weight 50%"; "ready" without.
func (o *Override) What() string {
	switch {
	case o == nil:
		return VerbReady
	case o.Order == VerbWeight:
		return VerbWeight + " " + o.Weight
	}
	return o.Order
}

// Says tells who ordered it and why: "by root: kernel update".
func (o *Override) Says() string {
	text := "by " + o.Who()
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}

// Who names the author: "root", or "root for alice" when sudo said so.
func (o *Override) Who() string { return who(o.Author, o.Claimed) }

// Who names the author likewise.
func (o *Order) Who() string { return who(o.Author, o.Claimed) }

func who(author, claimed string) string {
	if claimed == "" || claimed == author {
		return author
	}
	return author + " for " + claimed
}

// LeavingServer is a real server that the configuration lists no more and that
// keeps its connections for a while, or serves for a moment more.
type LeavingServer struct {
	Name         string    `json:"name"`
	Address      string    `json:"address"`
	Since        time.Time `json:"since"`
	Deadline     time.Time `json:"deadline"`         // when it goes at the latest
	Serves       bool      `json:"serves,omitempty"` // until those in its place have a verdict
	Installed    bool      `json:"installed"`
	KernelWeight int       `json:"kernel_weight"`
	Active       uint32    `json:"active_connections"`
	Inactive     uint32    `json:"inactive_connections"`
	Persistent   uint32    `json:"persistent_connections"`
	Left         uint64    `json:"connections_left"` // what is waited for
}

// CountOverrides counts what operators have ordered, by order, and the servers that
// leave.
func (c *Checkers) CountOverrides() (orders map[string]int, leaving int) {
	orders = make(map[string]int)
	for _, s := range c.Services {
		for _, list := range [2][]Server{s.Servers, s.SorryServers} {
			for i := range list {
				if o := list[i].Override; o != nil {
					orders[o.Order]++
				}
			}
		}
		leaving += len(s.Leaving)
	}
	return orders, leaving
}

// order carries out an order for the user with a number.
func (s *Listener) order(args json.RawMessage, uid uint32) (*OrderResult, error) {
	var o Order
	if err := json.Unmarshal(args, &o); err != nil {
		return nil, fmt.Errorf("control: malformed order: %w", err)
	}
	o.Author = userName(uid)
	r, err := s.handler.Order(s.ctx, o)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// userName is the name of a user, or the number where there is none.
func userName(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return "user " + number
}

// Order has something done with real servers, or tells how they are.
func (c *Client) Order(ctx context.Context, o Order) (OrderResult, error) {
	args, err := json.Marshal(o)
	if err != nil {
		return OrderResult{}, err
	}
	res, err := c.call(ctx, Request{Op: OpOrder, Args: args})
	if err != nil {
		return OrderResult{}, err
	}
	if res.Order == nil {
		return OrderResult{}, errors.New("director answered without a result")
	}
	return *res.Order, nil
}
