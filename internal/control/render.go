package control

import (
	"fmt"
	"io"
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
	// All shows also what is in order.
	All bool
}

// Render writes s as text for a person: one screen that says whether everything
// is well, who owns which address and since when, and which servers are out and
// why.
func Render(w io.Writer, s *Status, v View) error {
	p := &page{colour: v.Colour}
	v.header(p, s)
	processes, calm := v.processes(s.Processes, s.VRRP)
	if calm {
		p.line(text(processes.short))
	}
	if s.VRRP != nil {
		v.alarms(p, s.VRRP.Alarms)
	}
	if !calm && len(processes.table.rows) > 0 {
		p.line()
		p.table("", processes.table)
	}
	if s.VRRP != nil {
		v.vrrp(p, s.VRRP)
	}
	if s.Checkers != nil {
		v.services(p, s.Checkers.Services)
		v.sync(p, s.Checkers.Sync)
	}
	v.readiness(p, s.Readiness)
	v.troubles(p, s)
	v.notifications(p, s.Notify)
	_, err := w.Write(p.out.Bytes())
	return err
}

func (v View) vrrp(p *page, s *VRRP) {
	v.instances(p, s.Instances, s.Alarms, s.Foreign)
	v.groups(p, s.Groups)
	v.bfd(p, s.BFD, s.BFDStrays)
	v.trackers(p, s.Trackers)
	v.scripts(p, s.Scripts)
	v.static(p, s.Static, s.Instances)
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
	v.verdict(p, s)
	v.trial(p, s.Trial)
	v.logLevels(p, s.LogLevels)
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

// processList is the daemon's processes as a line and as a table.
type processList struct {
	short string
	table table
}

// processes says whether the line is enough, as it is while they run as they should.
func (v View) processes(list []Process, vrrp *VRRP) (pl processList, calm bool) {
	t := table{head: []string{"PROCESS", "PID", "STATE", "FOR", "RESTARTS", "LAST EXIT"}}
	var running, idle []string
	calm = true
	for _, proc := range list {
		pid, since := "-", "-"
		if proc.PID != 0 {
			pid = strconv.Itoa(proc.PID)
		}
		if !proc.StartedAt.IsZero() && proc.PID != 0 {
			since = v.age(proc.StartedAt)
		}
		st := good
		switch proc.State {
		case "running":
			name := proc.Role + " " + pid
			if len(proc.Listen) > 0 {
				name += " at " + strings.Join(proc.Listen, " and ")
			}
			if len(proc.Connected) > 0 {
				name += " with " + strings.Join(proc.Connected, " and ")
			}
			running = append(running, name)
		case "not needed":
			st = faint
			idle = append(idle, proc.Role)
		default:
			st = warn
			calm = false
		}
		restarts := number(strconv.Itoa(proc.Restarts))
		if proc.Restarts > 0 {
			restarts.style = warn
			calm = false
		}
		t.add(text(proc.Role), number(pid), styled(proc.State, st), number(since), restarts, text(dash(proc.LastExit)))
		switch proc.Scheduling {
		case "", "normal priority":
		case "normal priority, memory locked":
			if v.All {
				t.note("", "runs with "+proc.Scheduling, faint)
			}
		default:
			t.note("", "runs with "+proc.Scheduling, faint)
			calm = false
		}
		if proc.Role == "vrrp" && vrrp != nil && vrrp.Lateness.Count > 0 {
			l, late := vrrp.Lateness, vrrp.late()
			if late || v.All {
				t.note("", fmt.Sprintf("woke for %d timers, 99 %% of them at most %s late, the latest %s", l.Count, span(l.Within(0.99)), span(l.Max)), faint)
			}
			calm = calm && !late
		}
		if len(proc.Listen) > 0 {
			t.note("", "serves "+strings.Join(proc.Listen, " and "), faint)
		}
		if len(proc.Connected) > 0 {
			t.note("", "answers for "+strings.Join(proc.Connected, " and "), faint)
		}
		if proc.Unfit != "" {
			t.note("!", "does not run as configured: "+proc.Unfit, warn)
		}
		if proc.Stale {
			t.note("!", "does not answer: its part below is the last known one", warn)
		}
		calm = calm && proc.Unfit == "" && !proc.Stale
	}
	pl.table = t
	pl.short = "processes " + strings.Join(running, ", ") + " running"
	if len(idle) > 0 {
		pl.short += "; " + strings.Join(idle, ", ") + " not needed"
	}
	return pl, calm && !v.All && len(running) > 0
}

// late says that the loop once woke up so late that a backup might have noticed: by
// more than half of the shortest advert interval.
func (s *VRRP) late() bool {
	for _, i := range s.Instances {
		if i.AdvertInterval > 0 && s.Lateness.Max > i.AdvertInterval/2 {
			return true
		}
	}
	return false
}

// troubles lists kernel calls that fail, files that cannot be written and what had to be repaired.
func (v View) troubles(p *page, s *Status) {
	var fails []Failure
	if s.VRRP != nil {
		fails = append(fails, s.VRRP.Failures...)
	}
	if s.Checkers != nil {
		fails = append(fails, s.Checkers.Failures...)
		for _, f := range s.Checkers.Unwritten {
			f.What = "write " + f.What
			fails = append(fails, f)
		}
	}
	if len(fails) > 0 {
		t := table{head: []string{"FAILING", "FOR", "TRIES", "ERROR"}}
		for _, f := range fails {
			why := strings.TrimPrefix(strings.TrimPrefix(f.Error, "link: "), f.What+": ")
			t.add(text(f.What), number(v.age(f.Since)), number(strconv.Itoa(f.Count)), styled(why, bad))
		}
		p.line()
		p.table("", t)
	}
	if s.VRRP != nil {
		v.repairs(p, s.VRRP.Repairs, s.VRRP.Repaired, "address, route or rule put back after somebody else removed it", "addresses, routes and rules put back after somebody else removed them")
	}
	if s.Checkers != nil {
		v.repairs(p, s.Checkers.Repairs, s.Checkers.Repaired, "difference in the kernel's IPVS table repaired that director had not made", "differences in the kernel's IPVS table repaired that director had not made")
	}
}

// recentRepair is for how long a repair is news.
const recentRepair = 10 * time.Minute

// repairs counts what had to be repaired and tells when that was: an old one is no trouble.
func (v View) repairs(p *page, n uint64, newest time.Time, one, many string) {
	if n == 0 {
		return
	}
	st := faint
	if v.Now.Sub(newest) < recentRepair {
		st = warn
	}
	p.line()
	p.line(styled(plural(n, one, many)+", the last "+v.ago(newest), st))
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

// Age is the time from t to now in at most two units: 2m13s, 3d4h; - for a time that is not known.
func Age(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	d := max(0, now.Sub(t)).Truncate(time.Second)
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

// age is the time from t to the moment of the view.
func (v View) age(t time.Time) string { return Age(v.Now, t) }

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
