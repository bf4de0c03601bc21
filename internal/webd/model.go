package webd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"director/internal/control"
	"director/internal/watchdog"
)

// The page shows so much of a large farm at once.
const (
	shownServices = 100 // virtual servers, those with problems first
	shownServers  = 12  // real servers of each, those with problems only where they are more
	openServers   = 500 // of a virtual server that was asked for by name
)

// pageState is what the status page shows: a digest of the state, bounded however
// large the farm is.
type pageState struct {
	Number     uint64            `json:"number"` // of the view
	At         time.Time         `json:"at"`
	StaleAfter int64             `json:"stale_after_ms"`
	Version    string            `json:"version"`
	RouterID   string            `json:"router_id"`
	Generation uint64            `json:"generation"`
	LoadedAt   time.Time         `json:"loaded_at"`
	Level      string            `json:"level"`    // good, warn, bad
	Problems   []problem         `json:"problems"` // what keeps it from being good, the worst first
	Alarms     []control.Alarm   `json:"alarms"`
	Instances  []pageInstance    `json:"instances"`
	Groups     []control.Group   `json:"groups"`
	Trackers   []control.Tracker `json:"trackers"` // scripts too
	BFD        []pageBFD         `json:"bfd"`
	Processes  []control.Process `json:"processes"`
	Failures   []control.Failure `json:"failures"`
	Farm       *pageFarm         `json:"farm,omitempty"`
}

// problem is something that is not as it should be.
type problem struct {
	Level string `json:"level"` // warn, bad
	Text  string `json:"text"`
}

type pageInstance struct {
	Name      string            `json:"name"`
	Family    string            `json:"family"`
	Interface string            `json:"interface"`
	VRID      uint8             `json:"vrid"`
	Group     string            `json:"group,omitempty"`
	State     string            `json:"state"`
	Since     time.Time         `json:"since"`
	Reason    string            `json:"reason"`
	Priority  int               `json:"priority"`
	Base      int               `json:"base_priority"`
	Owner     string            `json:"owner"` // who has the addresses, as far as it is known
	OwnerPrio int               `json:"owner_priority,omitempty"`
	HeldBack  string            `json:"held_back,omitempty"`
	Addresses []control.Address `json:"addresses"`
	Notes     []string          `json:"notes,omitempty"` // trackers that take from its priority
}

type pageBFD struct {
	Name     string    `json:"name"`
	Neighbor string    `json:"neighbor"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Reason   string    `json:"reason"`
}

// pageFarm is the virtual servers.
type pageFarm struct {
	Total     int            `json:"total"`
	States    map[string]int `json:"states"`
	Servers   map[string]int `json:"servers"`                    // by health
	Orders    string         `json:"orders,omitempty"`           // what is not as in the file
	Missed    int            `json:"servers_missed,omitempty"`   // real servers that are down and that nobody has taken out
	Guarded   int            `json:"guarded,omitempty"`          // virtual servers whose panic guard blocks
	Ending    int            `json:"certificates_end,omitempty"` // virtual servers with a certificate that ends soon
	Unchecked int            `json:"unchecked,omitempty"`        // virtual servers whose checks cannot be made
	Matches   int            `json:"matches"`                    // of the filter
	List      []pageService  `json:"list"`
}

type pageService struct {
	Name       string         `json:"name"`
	Address    string         `json:"address"`
	Members    int            `json:"members,omitempty"` // of a group
	Scheduler  string         `json:"scheduler"`
	Forwarding string         `json:"forwarding"`
	State      string         `json:"state"`
	Since      time.Time      `json:"since"`
	Reason     string         `json:"reason"`
	Quorum     int            `json:"quorum"`
	UpWeight   int            `json:"up_weight"`
	Marks      []string       `json:"marks,omitempty"`
	Health     map[string]int `json:"health"`
	Total      int            `json:"total"`
	Active     uint64         `json:"active"`
	Rates      control.Rates  `json:"rates"`
	Spark      spark          `json:"spark"`
	Servers    []pageServer   `json:"servers"`
}

type pageServer struct {
	Name   string    `json:"name"`
	Health string    `json:"health"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	Weight int       `json:"weight"` // configured
	Kernel int       `json:"kernel_weight"`
	Active uint32    `json:"active"`
	Rate   uint64    `json:"rate"` // connections a second
	Marks  []string  `json:"marks,omitempty"`
}

// Leaving servers have this in the place of their health.
const leaving = "leaving"

// question is what a client wants to see of a farm.
type question struct {
	filter string   // part of the name or the address of a virtual or a real server
	open   []string // virtual servers of which all real servers are wanted
}

func (q question) plain() bool { return q.filter == "" && len(q.open) == 0 }

// page makes the digest of a view.
func page(v *view, h *history, q question) pageState {
	s := v.status
	p := pageState{
		Number: v.number, At: v.at, StaleAfter: v.stale.Milliseconds(), Version: s.Version, RouterID: s.RouterID,
		Generation: s.Generation, LoadedAt: s.LoadedAt, Processes: s.Processes,
		Alarms: []control.Alarm{}, Instances: []pageInstance{}, Groups: []control.Group{}, Trackers: []control.Tracker{}, BFD: []pageBFD{},
		Failures: []control.Failure{},
	}
	if s.VRRP != nil {
		p.vrrp(s.VRRP)
	}
	if s.Checkers != nil && len(s.Checkers.Services) > 0 {
		p.Farm = farmOf(s.Checkers, h, q)
		p.Failures = append(p.Failures, s.Checkers.Failures...)
	}
	p.judge(v)
	return p
}

func (p *pageState) vrrp(s *control.VRRP) {
	p.Alarms = append(p.Alarms, s.Alarms...)
	p.Groups = append(p.Groups, s.Groups...)
	p.Failures = append(p.Failures, s.Failures...)
	for i := range s.Instances {
		p.Instances = append(p.Instances, instanceOf(&s.Instances[i]))
	}
	for _, t := range s.Scripts {
		p.Trackers = append(p.Trackers, control.Tracker{Kind: "script", Name: t.Name, State: t.State, Since: t.Since, Detail: t.Result})
	}
	p.Trackers = append(p.Trackers, s.Trackers...)
	for i := range s.BFD {
		b := &s.BFD[i]
		p.BFD = append(p.BFD, pageBFD{b.Name, b.Neighbor.String(), b.State, b.Since, b.Reason})
	}
}

func instanceOf(i *control.Instance) pageInstance {
	d := pageInstance{
		Name: i.Name, Family: i.Family, Interface: i.Interface, VRID: i.VRID, Group: i.Group, State: i.State, Since: i.Since, Reason: i.Reason,
		Priority: i.Priority, Base: i.BasePriority, Owner: i.Master, OwnerPrio: i.MasterPriority, HeldBack: i.HeldBack, Addresses: i.Addresses,
	}
	if i.State == "MASTER" {
		d.Owner, d.OwnerPrio = "this host", i.Priority
	}
	for _, t := range i.Terms {
		if t.Value < 0 || t.Fault {
			d.Notes = append(d.Notes, cmp.Or(t.Note, t.Source+" is "+t.Verdict))
		}
	}
	return d
}

// rank orders states from bad to good.
func rank(state string) int {
	switch state {
	case "down":
		return 0
	case "sorry":
		return 1
	case "unknown":
		return 2
	}
	return 4
}

// serviceRank is rank with the real servers: one that is up with a server down stands
// before one that is all up.
func serviceRank(s *control.Service) int {
	r := rank(s.State)
	if r == 4 && slices.ContainsFunc(s.Servers, func(r control.Server) bool { return r.Health == "down" }) {
		return 3
	}
	return r
}

func farmOf(c *control.Checkers, h *history, q question) *pageFarm {
	f := &pageFarm{Total: len(c.Services), States: make(map[string]int), Servers: make(map[string]int), Orders: c.OverridesLine(), List: []pageService{}}
	type ranked struct {
		*control.Service
		rank int // looks at all real servers: not for each comparison
	}
	var matching []ranked
	filter := strings.ToLower(q.filter)
	for i := range c.Services {
		s := &c.Services[i]
		f.States[s.State]++
		if s.PanicGuard != nil && s.PanicGuard.Blocking {
			f.Guarded++
		}
		if s.Expiring != nil {
			f.Ending++
		}
		if s.NoVerdict != nil {
			f.Unchecked++
		}
		for j := range s.Servers {
			f.Servers[s.Servers[j].Health]++
			if s.Servers[j].Missed() {
				f.Missed++
			}
		}
		if matches(s, filter) {
			matching = append(matching, ranked{s, serviceRank(s)})
		}
	}
	f.Matches = len(matching)
	slices.SortStableFunc(matching, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Name, b.Name))
	})
	for _, s := range matching[:min(len(matching), shownServices)] {
		f.List = append(f.List, serviceOf(s.Service, h, slices.Contains(q.open, s.Name)))
	}
	return f
}

// matches reports whether a virtual server or one of its real servers has the text in
// its name or address; filter is in lower case.
func matches(s *control.Service, filter string) bool {
	if filter == "" {
		return true
	}
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), filter) }
	return has(s.Name) || has(s.Address) || has(s.State) ||
		slices.ContainsFunc(s.Servers, func(r control.Server) bool { return has(r.Name) || has(r.Address) })
}

func serviceOf(s *control.Service, h *history, open bool) pageService {
	d := pageService{
		Name: s.Name, Address: s.Address, Members: len(s.Members), Scheduler: s.Scheduler, Forwarding: s.Forwarding,
		State: s.State, Since: s.Since, Reason: s.Reason, Quorum: s.Quorum, UpWeight: s.UpWeight, Marks: serviceMarks(s),
		Health: make(map[string]int), Total: len(s.Servers), Rates: s.Rates, Spark: h.of(s.Name), Servers: []pageServer{},
	}
	for i := range s.Servers {
		d.Health[s.Servers[i].Health]++
		d.Active += uint64(s.Servers[i].Active)
	}
	most := shownServers
	if open {
		most = openServers
	}
	all := len(s.Servers) <= most
	for i := range s.Servers {
		r := &s.Servers[i]
		marks := serverMarks(r, s.Standby)
		if len(d.Servers) < most && (all || open || r.Health != "up" || len(marks) > 0) {
			d.Servers = append(d.Servers, pageServer{
				Name: r.Name, Health: r.Health, Since: r.Since, Reason: r.Reason, Weight: r.Weight, Kernel: r.KernelWeight,
				Active: r.Active, Rate: r.Rates.Connections, Marks: marks,
			})
		}
	}
	for _, l := range s.Leaving {
		if len(d.Servers) < most {
			stays := "keeps its connections until "
			if l.Serves {
				stays = "serves until others have a verdict, at the latest until "
			}
			kernel := -1
			if l.Installed {
				kernel = l.KernelWeight
			}
			d.Servers = append(d.Servers, pageServer{
				Name: l.Name, Health: leaving, Since: l.Since, Reason: "gone from the configuration, " + stays + l.Deadline.Format(time.TimeOnly),
				Kernel: kernel, Active: l.Active,
			})
		}
	}
	return d
}

// serviceMarks are what else there is to know of a virtual server.
func serviceMarks(s *control.Service) []string {
	var marks []string
	switch {
	case s.Standby:
		marks = append(marks, "standby: in the kernel's table while "+s.ActiveWith+" is MASTER")
	case !s.Installed:
		marks = append(marks, "not in the kernel's table")
	}
	if g := s.PanicGuard; g != nil && g.Blocking {
		marks = append(marks, fmt.Sprintf("panic guard: servers that are down stay in service, less than %d %% would be left", g.Threshold))
	}
	if s.NoVerdict != nil {
		marks = append(marks, "checks of servers cannot be made")
	}
	return marks
}

// serverMarks are what else there is to know of a real server.
func serverMarks(r *control.Server, standby bool) []string {
	var marks []string
	if o := r.Override; o != nil {
		mark := o.What() + ", ordered by " + o.Who()
		if o.Reason != "" {
			mark += ": " + o.Reason
		}
		marks = append(marks, mark)
	}
	for i := range r.Checks {
		if w := r.Checks[i].Warning; w != "" {
			marks = append(marks, w)
		}
		if a := r.Checks[i].Advice; a == "maint" || a == "drain" {
			marks = append(marks, a+", says its "+r.Checks[i].Kind+" check")
		}
	}
	if !r.Unchecked.IsZero() {
		marks = append(marks, "unchecked since "+r.Unchecked.Format(time.TimeOnly)+": "+r.Obstacle)
	}
	if r.Kept {
		marks = append(marks, "kept in service by the panic guard")
	}
	if u := r.RampUp; u != nil {
		marks = append(marks, fmt.Sprintf("ramps up, weight %d of %d", u.Weight, r.EffectiveWeight))
	}
	if r.Health == "up" && !r.Installed && !standby && r.Override == nil {
		marks = append(marks, "not in the kernel's table")
	}
	return marks
}

// several is a number with what it counts, whose plural has an s or is named.
func several(n int, one string, more ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(more) > 0:
		return fmt.Sprintf("%d %s", n, more[0])
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// judge says whether everything is well.
func (p *pageState) judge(v *view) {
	add := func(level, format string, args ...any) {
		p.Problems = append(p.Problems, problem{level, fmt.Sprintf(format, args...)})
	}
	p.Problems = []problem{}
	for _, w := range v.unwell(v.at) {
		add("bad", "%s", w)
	}
	for _, a := range p.Alarms {
		level := "bad"
		if a.Level == control.LevelWarning {
			level = "warn"
		}
		add(level, "%s: %s", a.Instance, strings.ReplaceAll(a.Code, "_", " "))
	}
	for i := range p.Instances {
		in := &p.Instances[i]
		switch {
		case in.State == "FAULT":
			add("bad", "%s is in FAULT: %s", in.Name, in.Reason)
		case in.HeldBack != "":
			add("bad", "%s does not take over: %s", in.Name, in.HeldBack)
		}
		missing := 0
		for _, a := range in.Addresses {
			if in.State == "MASTER" && !a.Installed {
				missing++
			}
		}
		if missing > 0 {
			add("bad", "%s is MASTER and lacks %d of %d addresses", in.Name, missing, len(in.Addresses))
		}
	}
	if f := p.Farm; f != nil {
		for _, state := range []string{"down", "sorry", "unknown"} {
			level := "bad"
			if state != "down" {
				level = "warn"
			}
			if n := f.States[state]; n > 0 {
				add(level, "%d of %d virtual servers %s", n, f.Total, state)
			}
		}
		if f.Guarded > 0 {
			add("bad", "the panic guard of %s keeps servers in service that are down", several(f.Guarded, "virtual server"))
		}
		if f.Unchecked > 0 {
			add("bad", "checks of %s cannot be made", several(f.Unchecked, "virtual server"))
		}
		if f.Ending > 0 {
			add("warn", "certificates of %s end soon", several(f.Ending, "virtual server"))
		}
		if n := f.Missed; n > 0 {
			add("warn", "%s down", several(n, "real server"))
		}
	}
	if n := len(p.Failures); n > 0 {
		add("warn", "failing now: %s", several(n, "call of the kernel", "calls of the kernel"))
	}
	if c := v.status.Checkers; c != nil {
		for _, f := range c.Unwritten {
			add("warn", "%s cannot be written: %s", f.What, f.Error)
		}
	}
	if r := v.status.LastReload; r != nil && !r.OK {
		add("warn", "the last reload was refused: %s", strings.Join(r.Errors, "; "))
	}
	for _, s := range v.status.Processes {
		if s.Unfit != "" {
			add("warn", "%s does not run as configured: %s", s.Role, s.Unfit)
		}
		if watchdog.Role(s.Role) == watchdog.RoleSNMP && !asItShould(s) && s.State != "starting" {
			add("warn", "%s %s: %s", s.Role, s.State, s.LastExit)
		}
	}
	slices.SortStableFunc(p.Problems, func(a, b problem) int { return cmp.Compare(a.Level, b.Level) }) // bad before warn
	p.Level = "good"
	if len(p.Problems) > 0 {
		p.Level = p.Problems[0].Level
	}
}
