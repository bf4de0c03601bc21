package control

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// View says how a status is rendered.
type View struct {
	// Now is the moment that ages are counted to.
	Now time.Time
	// Colour uses the terminal's colours.
	Colour bool
}

// Render writes s as text for a person: one screen that says whether everything
// is well, who owns which address and since when, and which servers are out and
// why.
func Render(w io.Writer, s *Status, v View) error {
	p := &page{colour: v.Colour}
	v.header(p, s)
	v.processes(p, s.Processes)
	if s.VRRP != nil {
		v.instances(p, s.VRRP.Instances)
		v.groups(p, s.VRRP.Groups)
		v.scripts(p, s.VRRP.Scripts)
	}
	if s.Checkers != nil {
		v.services(p, s.Checkers.Services)
	}
	v.troubles(p, s)
	v.notifications(p, s.Notify)
	_, err := w.Write(p.out.Bytes())
	return err
}

func (v View) header(p *page, s *Status) {
	var up string
	for _, proc := range s.Processes {
		if proc.Role == "parent" {
			up = ", up " + v.age(proc.StartedAt)
		}
	}
	p.line(styled(s.RouterID, bold), text("  director "+s.Version+up))
	p.line(text(fmt.Sprintf("%s  generation %d, in force for %s", s.ConfigPath, s.Generation, v.age(s.LoadedAt))))
	if r := s.LastReload; r != nil {
		if r.OK {
			p.line(text("last reload "+v.ago(r.At)+" "), styled("succeeded", good))
		} else {
			p.line(text("last reload "+v.ago(r.At)+" "), styled("was refused", bad), text(", the generation above stays:"))
			for _, e := range r.Errors {
				p.line(text("  "), styled(e, bad))
			}
		}
	}
}

func (v View) processes(p *page, list []Process) {
	t := table{head: []string{"PROCESS", "PID", "STATE", "FOR", "RESTARTS", "LAST EXIT"}}
	for _, proc := range list {
		pid, since := "-", "-"
		if proc.PID != 0 {
			pid = strconv.Itoa(proc.PID)
		}
		if !proc.StartedAt.IsZero() && proc.PID != 0 {
			since = v.age(proc.StartedAt)
		}
		st := good
		switch {
		case proc.State == "not needed":
			st = faint
		case proc.State != "running":
			st = warn
		}
		restarts := number(strconv.Itoa(proc.Restarts))
		if proc.Restarts > 0 {
			restarts.style = warn
		}
		t.add(text(proc.Role), number(pid), styled(proc.State, st), number(since), restarts, text(dash(proc.LastExit)))
		if proc.Stale {
			t.note("!", "does not answer: its part below is the last known one", warn)
		}
	}
	p.line()
	p.table("", t)
}

func (v View) instances(p *page, list []Instance) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"INSTANCE", "STATE", "FOR", "PRIORITY", "INTERFACE", "VRID", "MASTER", "WHY"}}
	for _, i := range list {
		t.add(text(i.Name), styled(i.State, instanceStyle(i.State)), number(v.age(i.Since)), number(priority(i)),
			text(i.Interface), text(fmt.Sprintf("%d/v%d", i.VRID, i.Version)), text(master(i)), text(i.Reason))
		for _, term := range i.Terms {
			st := plain
			if !term.Up {
				st = warn
			}
			s := fmt.Sprintf("%+d %s", term.Value, term.Source)
			if term.Note != "" {
				s += " (" + term.Note + ")"
			}
			t.note("tracks", s, st)
		}
		for _, peer := range i.Peers {
			s, st := v.peer(i, peer)
			t.note("peer", s, st)
		}
		for _, a := range i.Addresses {
			s, st := a.Prefix.String()+" on "+a.Device, faint
			switch {
			case a.Error != "":
				s, st = s+": "+a.Error, bad
			case a.Installed:
				s, st = s+" here", plain
				if i.State != "MASTER" {
					s, st = s+" although not MASTER", warn
				}
			case i.State == "MASTER":
				s, st = s+" missing", bad
			default:
				s += " not here"
			}
			t.note("address", s, st)
		}
		if n := discards(i.Discards); n != "" {
			t.note("dropped", n, warn)
		}
	}
	p.line()
	p.table("", t)
}

// peer tells what was heard of a unicast peer.
func (v View) peer(i Instance, p Peer) (string, style) {
	s := p.Address.String()
	switch {
	case p.Self:
		return s + " is this host itself: nothing is sent there", warn
	case p.Heard > 0:
		return fmt.Sprintf("%s heard %s, %s", s, v.ago(p.LastHeard), plural(p.Heard, "packet", "packets")), plain
	case i.State == "MASTER":
		return s + " never heard: it has always been a backup, or a firewall drops IP protocol 112", plain
	}
	return s + " never heard", faint
}

func instanceStyle(state string) style {
	switch state {
	case "MASTER":
		return good
	case "FAULT":
		return bad
	case "BACKUP":
		return plain
	}
	return warn
}

// priority shows the effective priority and, when tracking moves it, the sum.
func priority(i Instance) string {
	if i.Priority == i.BasePriority {
		return strconv.Itoa(i.Priority)
	}
	sum := strconv.Itoa(i.BasePriority)
	for _, t := range i.Terms {
		if t.Value != 0 {
			sum += fmt.Sprintf("%+d", t.Value)
		}
	}
	return fmt.Sprintf("%d (%s)", i.Priority, sum)
}

func master(i Instance) string {
	switch {
	case i.State == "MASTER":
		return "this host"
	case i.Master == "":
		return "-"
	default:
		return fmt.Sprintf("%s (%d)", i.Master, i.MasterPriority)
	}
}

// discards lists dropped packets by reason, most frequent first. Adverts that came
// before the instance could hear them are no trouble and left out.
func discards(m map[string]uint64) string {
	var reasons []string
	for reason, n := range m {
		if n > 0 && reason != "not_running" {
			reasons = append(reasons, reason)
		}
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if m[a] != m[b] {
			if m[a] > m[b] {
				return -1
			}
			return 1
		}
		return strings.Compare(a, b)
	})
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", m[reason], discardText(reason))
	}
	if len(reasons) == 0 {
		return ""
	}
	return "adverts: " + strings.Join(reasons, ", ")
}

// discardText says in words why adverts were dropped. Reasons are those of
// vrrp.Discard.
func discardText(reason string) string {
	switch reason {
	case "wrong_version":
		return "of another VRRP version"
	case "interval_mismatch":
		return "with another advert interval"
	case "wrong_password", "wrong_auth_type", "wrong_type":
		return "with a " + strings.ReplaceAll(reason, "_", " ")
	case "wrong_ttl":
		return "with a time to live out of bounds"
	case "multicast":
		return "by multicast, to an instance that uses unicast"
	case "unicast":
		return "by unicast, to an instance that uses multicast"
	case "unknown_peer":
		return "from a host that is no unicast_peer"
	case "own_packet":
		return "with this host's own source address"
	case "bad_checksum":
		return "with a bad checksum"
	case "zero_interval":
		return "with an advert interval of zero"
	case "no_address":
		return "without an address"
	}
	return strings.ReplaceAll(reason, "_", " ")
}

func (v View) groups(p *page, list []Group) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"SYNC GROUP", "STATE", "FOR", "MEMBERS", "WHY"}}
	for _, g := range list {
		t.add(text(g.Name), styled(g.State, instanceStyle(g.State)), number(v.age(g.Since)), text(strings.Join(g.Members, ", ")), text(dash(g.Reason)))
		if g.Waiting != "" {
			t.note("waits", g.Waiting, plain)
		}
	}
	p.line()
	p.table("", t)
}

func (v View) scripts(p *page, list []Script) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"SCRIPT", "STATE", "FOR", "LAST RUN", "TOOK", "RESULT"}}
	for _, s := range list {
		took, result := "-", dash(s.Result)
		switch {
		case s.LastRun.IsZero():
		case s.Result == "":
			result = "runs for the first time"
		default:
			took = span(s.Duration)
		}
		t.add(text(s.Name), styled(s.State, healthStyle(s.State)), number(v.age(s.Since)), number(v.ago(s.LastRun)), number(took), text(result))
		if s.State != "up" && s.Output != "" {
			t.note("output", s.Output, faint)
		}
	}
	p.line()
	p.table("", t)
}

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

// troubles lists kernel calls that fail and what had to be repaired.
func (v View) troubles(p *page, s *Status) {
	var fails []KernelFail
	if s.VRRP != nil {
		fails = append(fails, s.VRRP.Failures...)
	}
	if s.Checkers != nil {
		fails = append(fails, s.Checkers.Failures...)
	}
	if len(fails) > 0 {
		t := table{head: []string{"FAILING", "FOR", "TRIES", "ERROR"}}
		for _, f := range fails {
			t.add(text(f.What), number(v.age(f.Since)), number(strconv.Itoa(f.Count)), styled(f.Error, bad))
		}
		p.line()
		p.table("", t)
	}
	if s.VRRP != nil && s.VRRP.Repairs > 0 {
		p.line()
		p.line(styled(fmt.Sprintf("%s put back after somebody else removed it", plural(s.VRRP.Repairs, "virtual address", "virtual addresses")), warn))
	}
	if s.Checkers != nil && s.Checkers.Repairs > 0 {
		p.line()
		p.line(styled(fmt.Sprintf("%s in the kernel's IPVS table repaired that director had not made", plural(s.Checkers.Repairs, "difference", "differences")), warn))
	}
}

// notifications lists the channels that have failed or have something to do.
func (v View) notifications(p *page, list []NotifyChannel) {
	t := table{head: []string{"NOTIFY", "SENT", "FAILED", "DROPPED", "QUEUED", "LAST ERROR"}}
	for _, c := range list {
		if c.Failed == 0 && c.Dropped == 0 && c.Queued == 0 {
			continue
		}
		count := func(n uint64, st style) cell {
			c := number(strconv.FormatUint(n, 10))
			if n > 0 {
				c.style = st
			}
			return c
		}
		last := "-"
		if c.LastError != "" {
			last = v.ago(c.LastErrorAt) + ": " + c.LastError
		}
		t.add(text(c.Channel), count(c.Sent, plain), count(c.Failed, warn), count(c.Dropped, bad), count(uint64(c.Queued), plain), text(last))
	}
	if len(t.rows) > 0 {
		p.line()
		p.table("", t)
	}
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// age is the time from t to now in at most two units: 2m13s, 3d4h.
func (v View) age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(0, v.Now.Sub(t)).Truncate(time.Second)
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

func (v View) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return v.age(t) + " ago"
}

// span is a short time, to three digits or so.
func span(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(time.Microsecond).String()
	}
}
