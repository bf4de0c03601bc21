package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (v View) services(p *page, list []Service) {
	if len(list) > roomy && !v.All {
		v.manyServices(p, list)
		return
	}
	for i := range list {
		v.service(p, &list[i], false)
	}
}

// service shows one virtual server and its real servers; in brief only those of them that
// are not in order.
func (v View) service(p *page, s *Service, brief bool) {
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
	address := s.Address
	if n := len(s.Members); n > 1 {
		address = fmt.Sprintf("%s and %d more", address, n-1)
	}
	t.add(styled(s.Name, bold), text(address), styled(s.State, st), number(v.age(s.Since)), number(fmt.Sprintf("%d/%d", s.UpWeight, s.Quorum)),
		text(s.Scheduler), text(s.Forwarding), number(fmt.Sprint(active)), number(fmt.Sprint(inactive)), text(s.Reason))
	for i, m := range s.Members {
		switch {
		case i >= shownMembers && i == len(s.Members)-1 || i < shownMembers:
			v.member(&t, m, s.Standby)
		case i == shownMembers:
			t.note("group "+s.Group, fmt.Sprintf("... %d more ...", len(s.Members)-shownMembers-1), faint)
		}
	}
	if len(s.Options) > 0 {
		t.note("", strings.Join(s.Options, ", "), faint)
	}
	if c := s.Counters; c != (Counters{}) {
		t.note("", fmt.Sprintf("%d connections, in %s, out %s; now %d/s, in %s/s, out %s/s", c.Connections, bytesText(c.InBytes), bytesText(c.OutBytes),
			s.Rates.Connections, bytesText(s.Rates.InBytes), bytesText(s.Rates.OutBytes)), faint)
	}
	if g := s.PanicGuard; g != nil && g.Blocking {
		t.note("!", fmt.Sprintf("panic guard: weight %d of %d (%d%%) stays in service although servers are down", g.Needs, g.Of, g.Threshold), bad)
	}
	if s.NoVerdict != nil {
		t.note("!", "alarm for "+v.age(s.NoVerdict.Since)+": checks of servers cannot be made", bad)
	}
	switch {
	case s.Standby:
		t.note("", fmt.Sprintf("on standby: not in the kernel's table while the instance %s is not MASTER here", s.ActiveWith), faint)
	case s.ActiveWith != "":
		t.note("", "in the kernel's table while the instance "+s.ActiveWith+" is MASTER here", faint)
	}
	if !s.Installed && !s.Standby && len(s.Members) == 0 {
		t.note("!", "the kernel does not have this service", bad)
	}
	p.table("", t)
	if len(s.Servers)+len(s.Leaving)+len(s.SorryServers) == 0 {
		return
	}
	t = table{head: []string{"SERVER", "HEALTH", "FOR", "WEIGHT", "KERNEL", "ACTIVE", "INACTIVE", "LAST CHECK"}}
	calm, more := 0, 0
	for _, r := range s.Servers {
		switch {
		case brief && r.inOrder():
			calm++
		case brief && len(s.Servers) > manyShown && len(t.rows) >= 2*manyShown:
			more++
		default:
			v.server(&t, r, "", s.Standby)
		}
	}
	if more > 0 {
		t.note("", plural(uint64(more), "more server that is not in order", "more servers that are not in order"), bad)
	}
	if calm > 0 {
		t.note("", plural(uint64(calm), "server", "servers")+" in order", faint)
	}
	for _, l := range s.Leaving {
		v.leaving(&t, l)
	}
	for _, r := range s.SorryServers {
		v.server(&t, r, "sorry server ", s.Standby)
	}
	p.table("  ", t)
}

// shownMembers is how many services of a group are listed, and the last one.
const shownMembers = 8

// member tells of one service of a group.
func (v View) member(t *table, m ServiceMember, standby bool) {
	if !m.Installed && !standby {
		t.note("!", "the kernel does not have "+m.Address, bad)
		return
	}
	t.note("", fmt.Sprintf("%s: %d connections, in %s, out %s", m.Address, m.Counters.Connections, bytesText(m.Counters.InBytes), bytesText(m.Counters.OutBytes)), faint)
}

// sync tells of connection sync.
func (v View) sync(p *page, s *IPVSSync) {
	if s == nil {
		return
	}
	p.line()
	t := table{head: []string{"CONNECTION SYNC", "STATE", "CONNECTIONS LEARNED", "OWN", "DROPPED"}}
	for _, d := range s.Daemons {
		state, st := "running", good
		if !d.Running {
			state, st = "not running", bad
		}
		learned, own, dropped := number("-"), number("-"), number("-")
		if d.Role == "backup" {
			learned, dropped = number(strconv.FormatUint(s.Learned, 10)), number(strconv.FormatUint(s.Dropped, 10))
			if s.Dropped > 0 {
				dropped.style = warn
			}
		} else {
			own = number(strconv.FormatUint(s.Own, 10))
		}
		t.add(text(d.What), styled(state, st), learned, own, dropped)
	}
	if s.Follows != "" {
		t.note("", "follows the instance "+s.Follows, faint)
	}
	if s.Partial {
		t.note("", "only the first connections are counted: there are many", faint)
	}
	p.table("", t)
}

// bytesText is a number of bytes to two digits at least.
func bytesText(n uint64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	x, unit := float64(n)/1000, 0
	for x >= 1000 && unit < 4 {
		x, unit = x/1000, unit+1
	}
	digits := 0
	if x < 9.95 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %cB", digits, x, "kMGTP"[unit])
}

// server adds the row of one real server, and notes on what is wrong with it.
func (v View) server(t *table, r Server, prefix string, standby bool) {
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
	} else if r.Health == "up" && prefix == "" && !standby {
		kernel.style = warn
	}
	t.add(text(prefix+name), styled(dash(r.Health), healthStyle(r.Health)), number(v.age(r.Since)), number(strconv.Itoa(r.Weight)), kernel,
		number(fmt.Sprint(r.Active)), number(fmt.Sprint(r.Inactive)), text(v.newestCheck(r.Checks)))
	v.override(t, r)
	if r.UpperThreshold > 0 {
		lower := "three quarters of that"
		if r.LowerThreshold > 0 {
			lower = strconv.FormatUint(uint64(r.LowerThreshold), 10)
		}
		t.note("", fmt.Sprintf("takes no new clients from %d connections until it is below %s", r.UpperThreshold, lower), faint)
	}
	if strings.HasPrefix(r.Forwarding, "tunnel ") {
		t.note("", "by "+r.Forwarding, faint)
	}
	if up := r.RampUp; up != nil {
		t.note("weight", fmt.Sprintf("ramping %d of %d, %s left", up.Weight, r.EffectiveWeight, span(max(up.Ends.Sub(v.Now), 0).Round(time.Second))), faint)
	}
	if r.Kept {
		t.note("!", "the panic guard keeps it in service", bad)
	}
	if !r.Unchecked.IsZero() {
		t.note("!", "unchecked for "+v.age(r.Unchecked)+": "+r.Obstacle, bad)
	}
	if r.Health == "down" && r.Reason != "" {
		t.note("why", r.Reason, bad)
		for _, c := range r.Checks {
			if len(r.Checks) > 1 { // which of them pass tells as much as which fail
				v.checkNote(t, c)
			}
		}
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

// checkNote tells how one check of several stands.
func (v View) checkNote(t *table, c CheckStatus) {
	what := strings.TrimSpace(c.Kind + " " + c.Target)
	switch {
	case c.LastRun.IsZero():
		t.note("check", what+": not yet run", faint)
	case c.State == "down":
		t.note("check", what+" fails: "+c.Result, bad)
	default:
		t.note("check", what+" passes: "+c.Result, faint)
	}
}

// newestCheck describes the check that ran last; the first that is down comes before it.
func (v View) newestCheck(checks []CheckStatus) string {
	if len(checks) == 0 {
		return "-"
	}
	c := slices.MaxFunc(checks, func(a, b CheckStatus) int { return a.LastRun.Compare(b.LastRun) })
	if i := slices.IndexFunc(checks, func(c CheckStatus) bool { return c.State == "down" }); i >= 0 {
		c = checks[i]
	}
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
