package control

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// OverridesLine counts what operators have ordered and the servers that leave; it is
// empty when everything is as the configuration has it.
func (c *Checkers) OverridesLine() string {
	orders, leaving := c.CountOverrides()
	var parts []string
	count := func(n int, what string) {
		if n > 0 {
			parts = append(parts, plural(uint64(n), "server ", "servers ")+what)
		}
	}
	count(orders[VerbDrain], "told to drain")
	count(orders[VerbMaintain], "in maintenance")
	count(orders[VerbWeight], "with another weight")
	count(leaving, "leaving")
	return strings.Join(parts, ", ")
}

// override adds a note on what an operator has ordered for a server.
func (v View) override(t *table, r Server) {
	if r.Override != nil {
		t.note(r.Override.Order, v.orderText(r), warn)
	}
}

// orderText tells what is in force for a server, by whom, and what becomes of it.
func (v View) orderText(r Server) string {
	o := r.Override
	var parts []string
	switch {
	case o.Order == VerbWeight:
		parts = append(parts, fmt.Sprintf("%s in place of %d", o.Weight, r.Weight))
	case o.Order == VerbDrain && o.Drained.IsZero():
		parts = append(parts, connectionsLeft(o.Left, r.Persistent))
	case o.Order == VerbDrain:
		parts = append(parts, "no connection left for "+v.age(o.Drained))
	case o.After == AfterDrained:
		parts = append(parts, "drained before")
	case o.After == AfterDeadline:
		parts = append(parts, fmt.Sprintf("the drain's deadline cut off %s", plural(o.Left, "connection", "connections")))
	}
	if !o.By.IsZero() {
		parts = append(parts, "out of service in "+v.remaining(o.By)+" at the latest")
	}
	if !o.Until.IsZero() {
		parts = append(parts, "ready again in "+v.remaining(o.Until))
	}
	text := fmt.Sprintf("by %s %s", o.Who(), v.ago(o.Since))
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return strings.Join(append([]string{text}, parts...), "; ")
}

// connectionsLeft tells what a drain waits for, of which some are bound clients.
func connectionsLeft(left uint64, persistent uint32) string {
	bound := min(left, uint64(persistent))
	text := plural(left-bound, "connection", "connections")
	if bound > 0 {
		text += " and " + plural(bound, "persistent client", "persistent clients")
	}
	return text + " left"
}

// remaining is the time to a moment.
func (v View) remaining(at time.Time) string {
	return View{Now: at}.age(v.Now)
}

// leaving adds the row of a server that is in the table and not in the file.
func (v View) leaving(t *table, l LeavingServer) {
	name := l.Address
	if l.Name != "" && l.Name != l.Address {
		name = l.Name + " " + l.Address
	}
	kernel := number("-")
	if l.Installed {
		kernel = number(fmt.Sprint(l.KernelWeight))
	}
	t.add(text(name), styled("leaving", warn), number(v.age(l.Since)), number("-"), kernel,
		number(fmt.Sprint(l.Active)), number(fmt.Sprint(l.Inactive)), text("-"))
	stays := connectionsLeft(l.Left, l.Persistent) + ", goes"
	if l.Serves {
		stays = "serves until those that came in its place have a verdict, is relieved"
	}
	t.note("leaving", fmt.Sprintf("is not in the file any more; %s in %s at the latest", stays, v.remaining(l.Deadline)), warn)
}

// RenderOrder writes what an order has done, or how its servers are now.
func RenderOrder(w io.Writer, r OrderResult, view View) error {
	p := &page{colour: view.Colour}
	t := table{head: []string{"SERVER", "ADDRESS", "ORDER", "HEALTH", "WEIGHT", "KERNEL", "ACTIVE", "PERSISTENT", "INACTIVE"}}
	for _, s := range r.Servers {
		kernel := "-"
		if s.Installed {
			kernel = fmt.Sprint(s.KernelWeight)
		}
		order := text(s.Override.What())
		if s.Override != nil {
			order.style = warn
		}
		t.add(styled(s.Service+"/"+s.Name, bold), text(s.Address), order, styled(s.Health, healthStyle(s.Health)),
			number(fmt.Sprint(s.EffectiveWeight)), number(kernel), number(fmt.Sprint(s.Active)), number(fmt.Sprint(s.Persistent)), number(fmt.Sprint(s.Inactive)))
		if s.Override != nil {
			t.note("", view.orderText(s.Server), faint)
		}
	}
	p.table("", t)
	for _, n := range r.Notes {
		p.line(styled("note: "+n, warn))
	}
	_, err := w.Write(p.out.Bytes())
	return err
}
