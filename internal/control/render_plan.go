package control

import (
	"fmt"
	"io"
	"strings"
)

// Summary counts the changes in one line: 3 IPVS changes, 1 address, route or rule.
func (c *Changes) Summary() string {
	more := ""
	if c.More > 0 {
		more = " or more" // of some list; which, is not worth a word
	}
	var parts []string
	count := func(list []string, one, many string) {
		if len(list) > 0 {
			parts = append(parts, plural(uint64(len(list)), one, many)+more)
		}
	}
	count(c.Config, "key or table of the configuration", "keys and tables of the configuration")
	count(c.IPVS, "change of IPVS", "changes of IPVS")
	count(c.VRRP, "change of VRRP", "changes of VRRP")
	count(c.Host, "address, route or rule", "addresses, routes and rules")
	if len(parts) == 0 {
		return "nothing changes in the kernel"
	}
	return strings.Join(parts, ", ")
}

// text writes the changes, each list below its heading.
func (c *Changes) text(p *page) {
	list := func(head string, lines []string) {
		if len(lines) == 0 {
			return
		}
		p.line(styled(head, bold))
		for _, l := range lines {
			p.line(text("  " + l))
		}
	}
	list("configuration", c.Config)
	ipvs := "IPVS, in the language of ipvsadm"
	if c.Repairs > 0 {
		ipvs += "; " + plural(uint64(c.Repairs), "of these undoes", "of these undo") + " what somebody else did"
	}
	list(ipvs, c.IPVS)
	list("IPVS, as soon as their checks have passed", c.Joining)
	list("VRRP", c.VRRP)
	list("addresses, routes and rules", c.Host)
	if c.More > 0 {
		p.line(text(fmt.Sprintf("and %d more", c.More)))
	}
}

// unaffectedText counts what stays.
func (u Unaffected) text() string {
	return fmt.Sprintf("%s, %s and %s", plural(uint64(u.Services), "service", "services"),
		plural(uint64(u.Servers), "real server", "real servers"), plural(uint64(u.Instances), "virtual router", "virtual routers"))
}

// RenderPlan writes a plan without errors as text for a person.
func RenderPlan(w io.Writer, plan *Plan, v View) error {
	p := &page{colour: v.Colour}
	if plan.Changes.None() {
		p.line(text(plan.File+" changes nothing: "), text(plan.Changes.Unaffected.text()+" stay as they are"))
	} else {
		plan.Changes.text(p)
		p.line(text("unaffected: " + plan.Changes.Unaffected.text()))
	}
	_, err := w.Write(p.out.Bytes())
	return err
}

// RenderChanges writes what a reload has done, each list cut to its first lines.
func RenderChanges(w io.Writer, c *Changes, lines int, v View) error {
	short := *c
	short.Shorten(lines)
	p := &page{colour: v.Colour}
	short.text(p)
	p.line(text("unaffected: " + c.Unaffected.text()))
	_, err := w.Write(p.out.Bytes())
	return err
}
