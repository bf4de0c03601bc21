package control

import (
	"fmt"
	"slices"
	"strconv"
)

func (v View) services(p *page, list []Service) {
	for _, s := range list {
		p.line()
		t := table{head: []string{"VIRTUAL SERVER", "ADDRESS", "STATE", "FOR", "WEIGHT/QUORUM", "SCHEDULER", "FORWARDING", "ACTIVE", "INACTIVE", "WHY"}}
		st := healthStyle(s.State)
		if s.State == "sorry" {
			st = bad
		}
		var active, inactive uint64
		for _, r := range s.Servers {
			active += uint64(r.Active)
			inactive += uint64(r.Inactive)
		}
		t.add(styled(s.Name, bold), text(s.Address), styled(s.State, st), number(v.age(s.Since)), number(fmt.Sprintf("%d/%d", s.UpWeight, s.Quorum)),
			text(s.Scheduler), text(s.Forwarding), number(fmt.Sprint(active)), number(fmt.Sprint(inactive)), text(s.Reason))
		if !s.Installed {
			t.note("!", "the kernel does not have this service", bad)
		}
		p.table("", t)
		if len(s.Servers) == 0 && s.Sorry == nil {
			continue
		}
		t = table{head: []string{"SERVER", "HEALTH", "FOR", "WEIGHT", "KERNEL", "ACTIVE", "INACTIVE", "LAST CHECK"}}
		for _, r := range s.Servers {
			v.server(&t, r, "")
		}
		if s.Sorry != nil {
			v.server(&t, *s.Sorry, "sorry server ")
		}
		p.table("  ", t)
	}
}

// server adds the row of one real server, and notes on what is wrong with it.
func (v View) server(t *table, r Server, prefix string) {
	name := r.Address
	if r.Name != "" && r.Name != r.Address {
		name = r.Name + " " + r.Address
	}
	kernel := number("-")
	if r.Installed {
		kernel = number(strconv.Itoa(r.KernelWeight))
		if r.KernelWeight == 0 && r.Weight != 0 {
			kernel.style = warn
		}
	} else if r.Health == "up" && prefix == "" {
		kernel.style = warn
	}
	t.add(text(prefix+name), styled(dash(r.Health), healthStyle(r.Health)), number(v.age(r.Since)), number(strconv.Itoa(r.Weight)), kernel,
		number(fmt.Sprint(r.Active)), number(fmt.Sprint(r.Inactive)), text(v.newestCheck(r.Checks)))
	if r.Health == "down" && r.Reason != "" {
		t.note("why", r.Reason, bad)
	}
	for _, c := range r.Checks {
		if c.Advice != "" && prefix == "" {
			t.note("weight", fmt.Sprintf("%d of %d: %s %s says %s", r.EffectiveWeight, r.Weight, c.Kind, c.Target, c.Advice), warn)
		}
		if c.Warning != "" {
			t.note("!", fmt.Sprintf("%s %s: %s", c.Kind, c.Target, c.Warning), warn)
		}
	}
}

// newestCheck describes the check that ran last; one that is down comes first.
func (v View) newestCheck(checks []CheckStatus) string {
	if len(checks) == 0 {
		return "-"
	}
	c := slices.MaxFunc(checks, func(a, b CheckStatus) int {
		if down := (a.State == "down"); down != (b.State == "down") {
			if down {
				return 1
			}
			return -1
		}
		return a.LastRun.Compare(b.LastRun)
	})
	if c.LastRun.IsZero() {
		return c.Kind + ": not yet run"
	}
	if c.State == "down" { // what failed tells its time itself where it matters
		return fmt.Sprintf("%s: %s, %s", c.Kind, c.Result, v.ago(c.LastRun))
	}
	return fmt.Sprintf("%s: %s in %s, %s", c.Kind, c.Result, span(c.Duration), v.ago(c.LastRun))
}

func healthStyle(state string) style {
	switch state {
	case "up":
		return good
	case "down":
		return bad
	}
	return warn
}
