package control

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// recentRestart is for how long after its start a process that was started again is news.
	recentRestart = 10 * time.Minute
	// namedHere is how many things of one kind the verdict names; of more it counts the rest.
	namedHere = 4
)

// verdict answers first what an operator asks first: is everything well, and if not, what
// is not. Beneath stands the rest in full.
func (v View) verdict(p *page, s *Status) {
	wrong, unusual := v.wrong(s), v.unusual(s)
	switch {
	case len(wrong) > 0:
		for i, line := range wrap(strings.Join(wrong, "; ")) {
			if i == 0 {
				p.line(styled("NOT WELL: ", bad), styled(line, bad))
				continue
			}
			p.line(styled("  "+line, bad))
		}
	default:
		p.line(styled("all is well", good), text(": "+s.inShort()))
	}
	for _, line := range unusual {
		p.line(styled("to note: "+line, warn))
	}
}

// wrong lists what is broken or out of service.
func (v View) wrong(s *Status) []string {
	var list []string
	for _, p := range s.Processes {
		switch {
		case p.State != "running" && p.State != "not needed":
			list = append(list, "process "+p.Role+": "+p.State)
		case p.Stale:
			list = append(list, "process "+p.Role+" does not answer")
		case p.Unfit != "":
			list = append(list, "process "+p.Role+" does not run as configured")
		}
	}
	if s.LastReload != nil && !s.LastReload.OK {
		list = append(list, "the last reload was refused, so that the file is not in force")
	}
	if v := s.VRRP; v != nil {
		list = append(list, v.wrong()...)
	}
	if c := s.Checkers; c != nil {
		list = append(list, c.wrong()...)
	}
	if r := s.Readiness; r != nil && !r.Ready {
		list = append(list, "this host is not ready to serve")
	}
	fails := 0
	if s.VRRP != nil {
		fails += len(s.VRRP.Failures)
	}
	if s.Checkers != nil {
		fails += len(s.Checkers.Failures)
	}
	if fails > 0 {
		list = append(list, plural(uint64(fails), "call of the kernel fails", "calls of the kernel fail"))
	}
	if s.Checkers != nil && len(s.Checkers.Unwritten) > 0 {
		list = append(list, plural(uint64(len(s.Checkers.Unwritten)), "file cannot be written", "files cannot be written"))
	}
	return list
}

func (s *VRRP) wrong() []string {
	var list []string
	var faults, held, addresses, alarms []string
	for _, i := range s.Instances {
		if i.State == "FAULT" {
			faults = append(faults, i.Name)
		}
		if i.HeldBack != "" {
			held = append(held, i.Name)
		}
		if slices.ContainsFunc(i.Addresses, func(a Address) bool { return a.Error != "" || i.State == "MASTER" && !a.Installed }) {
			addresses = append(addresses, i.Name)
		}
	}
	for _, a := range s.Alarms {
		if a.Level != LevelWarning {
			alarms = append(alarms, strings.TrimSpace(a.Code+" of "+a.Instance+a.Service))
		}
	}
	add := func(names []string, format string) {
		if len(names) > 0 {
			list = append(list, fmt.Sprintf(format, some(names)))
		}
	}
	add(alarms, "alarm %s")
	add(faults, "in FAULT: %s")
	add(held, "held back from a takeover: %s")
	add(addresses, "without all of its addresses: %s")
	return list
}

func (c *Checkers) wrong() []string {
	var list, down, sorry, missing, unchecked, out []string
	kept := 0
	for i := range c.Services {
		s := &c.Services[i]
		switch s.State {
		case "down":
			down = append(down, s.Name)
		case "sorry":
			sorry = append(sorry, s.Name)
		}
		if !s.Installed && !s.Standby {
			missing = append(missing, s.Name)
		}
		if s.NoVerdict != nil {
			unchecked = append(unchecked, s.Name)
		}
		for j := range s.Servers {
			r := &s.Servers[j]
			if r.Missed() {
				out = append(out, s.Name+"/"+cmpName(r))
			}
			if r.Kept {
				kept++
			}
		}
	}
	add := func(names []string, one, many string) {
		switch len(names) {
		case 0:
		case 1:
			list = append(list, fmt.Sprintf(one, names[0]))
		default:
			list = append(list, fmt.Sprintf(many, len(names), some(names)))
		}
	}
	add(down, "virtual server %s is down", "%d virtual servers are down: %s")
	add(sorry, "virtual server %s is on its sorry server", "%d virtual servers are on their sorry servers: %s")
	add(missing, "the kernel does not have virtual server %s", "the kernel does not have %d virtual servers: %s")
	add(unchecked, "checks of virtual server %s cannot be made", "checks of %d virtual servers cannot be made: %s")
	add(out, "real server %s is down", "%d real servers are down: %s")
	if kept > 0 {
		list = append(list, "the panic guard keeps "+plural(uint64(kept), "server that is down", "servers that are down")+" in service")
	}
	return list
}

// Missed says that a real server is down and nobody has taken it out: what an operator
// has taken out is no fault.
func (r *Server) Missed() bool {
	return r.Health == "down" && (r.Override == nil || r.Override.Order != VerbMaintain)
}

func cmpName(r *Server) string {
	if r.Name != "" {
		return r.Name
	}
	return r.Address
}

// unusual lists what is as somebody wants it and not as the file has it, and what has just
// happened.
func (v View) unusual(s *Status) []string {
	var list []string
	refused := s.LastReload != nil && !s.LastReload.OK
	switch {
	case s.FileMissing:
		list = append(list, "the file is not there any more")
	case !s.FileChanged.IsZero() && !refused && s.Trial == nil:
		list = append(list, "the file was changed "+v.ago(s.FileChanged)+" and is not in force: `director plan` tells what a reload would do")
	}
	if s.Trial != nil {
		list = append(list, "another file is on trial")
	}
	if s.VRRP != nil {
		var moved []string
		for _, i := range s.VRRP.Instances {
			if i.Override == nil {
				continue
			}
			what := map[string]string{VerbRelease: " released", VerbPrefer: " preferred"}[i.Override.Order]
			if name := i.Name + what + " by " + i.Override.Who(); !slices.Contains(moved, name) {
				moved = append(moved, name)
			}
		}
		if len(moved) > 0 {
			list = append(list, some(moved))
		}
	}
	if s.Checkers != nil {
		if line := s.Checkers.OverridesLine(); line != "" {
			list = append(list, "not as in the file: "+line)
		}
	}
	for _, p := range s.Processes {
		if p.Restarts > 0 && v.Now.Sub(p.StartedAt) < recentRestart {
			list = append(list, fmt.Sprintf("process %s was started again %s", p.Role, v.ago(p.StartedAt)))
		}
	}
	return list
}

// inShort tells what is in order.
func (s *Status) inShort() string {
	var parts []string
	if s.VRRP != nil && len(s.VRRP.Instances) > 0 {
		for _, state := range []string{"MASTER", "BACKUP", "INIT"} {
			var names []string
			for _, i := range s.VRRP.Instances {
				if i.State == state && !slices.Contains(names, i.Name) {
					names = append(names, i.Name)
				}
			}
			if len(names) > 0 {
				parts = append(parts, state+" of "+some(names))
			}
		}
	}
	if s.Checkers != nil && len(s.Checkers.Services) > 0 {
		up, standby, waiting, servers := 0, 0, 0, 0
		for i := range s.Checkers.Services {
			v := &s.Checkers.Services[i]
			switch {
			case v.Standby:
				standby++
			case v.State == "up":
				up++
			case v.State == "unknown":
				waiting++
			}
			for j := range v.Servers {
				if v.Servers[j].Health == "up" {
					servers++
				}
			}
		}
		part := plural(uint64(up), "virtual server", "virtual servers") + " up"
		if standby > 0 {
			part += fmt.Sprintf(" and %d on standby", standby)
		}
		if waiting > 0 {
			part += fmt.Sprintf(", %d without a verdict yet", waiting)
		}
		parts = append(parts, part+" with "+plural(uint64(servers), "real server", "real servers"))
	}
	if len(parts) == 0 {
		return "nothing is configured"
	}
	return strings.Join(parts, "; ")
}

// some names a few things, and counts the rest.
func some(names []string) string {
	if len(names) <= namedHere {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:namedHere], ", "), len(names)-namedHere)
}
