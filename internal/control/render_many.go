package control

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	// manyShown is how many virtual servers, and of each how many real servers, are shown
	// in full where there are many and not in order.
	manyShown = 20
	// manyLines is up to how many virtual servers in order have a line each.
	manyLines = 30
)

// inOrder says that nothing has to be told of a real server.
func (r *Server) inOrder() bool {
	for i := range r.Checks {
		if r.Checks[i].Warning != "" || r.Checks[i].Advice != "" {
			return false
		}
	}
	return r.Health == "up" && r.Unchecked.IsZero() && r.Override == nil && !r.Kept && r.RampUp == nil
}

// inOrder says that nothing has to be told of a virtual server and its pool.
func (s *Service) inOrder() bool {
	if s.State != "up" || !s.Installed && !s.Standby || len(s.Leaving) > 0 || s.PanicGuard != nil && s.PanicGuard.Blocking || s.NoVerdict != nil {
		return false
	}
	for i := range s.Servers {
		if !s.Servers[i].inOrder() {
			return false
		}
	}
	for _, m := range s.Members {
		if !m.Installed && !s.Standby {
			return false
		}
	}
	return true
}

// urgency ranks virtual servers that are not in order: those that do not serve come first.
func (s *Service) urgency() int {
	switch {
	case s.State == "down":
		return 0
	case s.State == "sorry" || !s.Installed && !s.Standby:
		return 1
	case slices.ContainsFunc(s.Servers, func(r Server) bool { return r.Health == "down" }):
		return 2
	}
	return 3
}

// manyServices shows those that are not in order, and the others in a line each, or all in
// one line.
func (v View) manyServices(p *page, list []Service) {
	var calm, rest []*Service
	for i := range list {
		if s := &list[i]; s.inOrder() {
			calm = append(calm, s)
		} else {
			rest = append(rest, s)
		}
	}
	slices.SortStableFunc(rest, func(a, b *Service) int { return cmp.Compare(a.urgency(), b.urgency()) })
	shown := min(len(rest), manyShown)
	for _, s := range rest[:shown] {
		v.service(p, s, true)
	}
	if rest = rest[shown:]; len(rest) > 0 {
		var names []string
		for _, s := range rest {
			names = append(names, s.Name)
		}
		p.line()
		p.line(styled(fmt.Sprintf("%s not in order either: %s", plural(uint64(len(rest)), "more virtual server is", "more virtual servers are"), some(names)), bad))
	}
	switch {
	case len(calm) > manyLines:
		v.calmLine(p, calm)
	case len(calm) > 0:
		v.calmTable(p, calm)
	}
}

// carried is what a virtual server carries now.
func (s *Service) carried() (servers int, active, inactive uint64) {
	for i := range s.Servers {
		active += uint64(s.Servers[i].Active)
		inactive += uint64(s.Servers[i].Inactive)
	}
	return len(s.Servers), active, inactive
}

func (v View) calmLine(p *page, list []*Service) {
	servers, active, inactive := 0, uint64(0), uint64(0)
	for _, s := range list {
		n, a, i := s.carried()
		servers, active, inactive = servers+n, active+a, inactive+i
	}
	p.line()
	p.line(text(fmt.Sprintf("%d virtual servers in order, with %s, %s active and %d inactive; --all lists them", len(list),
		plural(uint64(servers), "real server", "real servers"), plural(active, "connection", "connections"), inactive)))
}

func (v View) calmTable(p *page, list []*Service) {
	t := table{head: []string{"IN ORDER", "ADDRESS", "STATE", "FOR", "SERVERS", "WEIGHT/QUORUM", "SCHEDULER", "FORWARDING", "ACTIVE", "INACTIVE"}}
	for _, s := range list {
		servers, active, inactive := s.carried()
		address := s.Address
		if n := len(s.Members); n > 1 {
			address = fmt.Sprintf("%s and %d more", address, n-1)
		}
		state := styled(s.State, healthStyle(s.State))
		if s.Standby {
			state = styled("standby", faint)
		}
		t.add(text(s.Name), text(address), state, number(v.age(s.Since)), number(fmt.Sprint(servers)), number(fmt.Sprintf("%d/%d", s.UpWeight, s.Quorum)),
			text(s.Scheduler), text(s.Forwarding), number(fmt.Sprint(active)), number(fmt.Sprint(inactive)))
	}
	p.line()
	p.table("", t)
}
