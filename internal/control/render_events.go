package control

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// RenderEvents writes events as text for a person, one line each, oldest first.
func RenderEvents(w io.Writer, list []Event, v View) error {
	p := &page{colour: v.Colour}
	v.events(p, list)
	_, err := w.Write(p.out.Bytes())
	return err
}

// The columns of events: at least so wide, so that those that come one by one (--follow)
// stand beneath each other, and at most so wide, so that one long name spoils nothing.
const (
	kindWidth    = 11
	leastSubject = 14
	mostSubject  = 24
	leastChange  = 18
)

func (v View) events(p *page, list []Event) {
	subject := leastSubject
	for i := range list {
		if n := utf8.RuneCountInString(list[i].Subject); n <= mostSubject {
			subject = max(subject, n)
		}
	}
	for i := range list {
		v.event(p, &list[i], subject)
	}
}

func (v View) event(p *page, e *Event, subject int) {
	put := func(s string, st style, width int) {
		p.put(cell{text: s, style: st}, width)
		p.out.WriteString("  ")
	}
	put(v.moment(e.Time), faint, 0)
	put(e.Kind, plain, kindWidth)
	put(e.Subject, bold, subject)
	put(e.From+" -> "+e.To, eventStyle(e), leastChange)
	why := e.Reason
	if e.Alarm != nil && e.Code != "" {
		why = e.Code + ": " + why
	}
	put(why, plain, 0)
	p.end()
}

// moment is a time of the day, with the date when it is of another day.
func (v View) moment(t time.Time) string {
	t, now := t.Local(), v.Now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04:05.000")
	}
	return t.Format("2006-01-02 15:04:05.000")
}

func eventStyle(e *Event) style {
	switch e.To {
	case "MASTER", "up", "running", "in force", "clear", "present":
		return good
	case "FAULT", "down", "sorry", "dead", "raised", "lost":
		return bad
	case "refused", "failed", "stay", "unready", VerbDrain, VerbMaintain:
		return warn
	}
	return plain
}

// About selects what concerns a subject: the parts of a status that are about it, and
// its events. A subject is the name of an instance, a sync group, a virtual server, a
// tracker or BFD session, or virtual-server/real-server. It reports false when the
// status knows nothing of that name.
func (s *Status) About(subject string) (part Status, known bool) {
	part = *s
	part.Processes, part.Notify, part.VRRP, part.Checkers = nil, nil, nil, nil
	if s.VRRP != nil {
		v := *s.VRRP
		v.Static, v.Failures = nil, nil
		group := ""
		v.Instances = keep(v.Instances, func(i Instance) bool {
			if i.Name == subject {
				group = i.Group
			}
			return i.Name == subject || i.Group == subject
		})
		names := make(map[string]bool)
		links := make(map[string]bool)
		terms := make(map[string]bool)
		for _, i := range v.Instances {
			names[i.Name], links[i.Interface] = true, true
			for _, t := range i.Terms {
				terms[t.Name] = true
			}
		}
		v.Groups = keep(v.Groups, func(g Group) bool { return g.Name == subject || g.Name == group })
		v.Scripts = keep(v.Scripts, func(c Script) bool { return c.Name == subject || terms[c.Name] })
		v.Trackers = keep(v.Trackers, func(t Tracker) bool { return t.Name == subject || terms[t.Name] })
		v.BFD = keep(v.BFD, func(b BFD) bool { return b.Name == subject || terms[b.Name] })
		v.Foreign = keep(v.Foreign, func(f ForeignVRID) bool { return links[f.Interface] })
		v.Alarms = keep(v.Alarms, func(a Alarm) bool { return names[a.Instance] })
		if len(v.Instances)+len(v.Groups)+len(v.Scripts)+len(v.Trackers)+len(v.BFD) > 0 {
			part.VRRP, known = &v, true
		}
	}
	if s.Checkers != nil {
		c := *s.Checkers
		c.Failures, c.Unwritten = nil, nil
		service, server, _ := strings.Cut(subject, "/")
		c.Services = keep(c.Services, func(v Service) bool { return v.Name == service })
		if len(c.Services) > 0 && server != "" {
			v := c.Services[0]
			v.Servers = keep(v.Servers, func(r Server) bool { return r.Name == server || r.Address == server })
			c.Services = []Service{v}
			if len(v.Servers) == 0 {
				c.Services = nil
			}
		}
		if len(c.Services) > 0 {
			part.Checkers, known = &c, true
		}
	}
	return part, known
}

// EventsAbout selects the events that concern a subject and what it depends on, as
// About has found it.
func (s *Status) EventsAbout(subject string, list []Event) []Event {
	names := map[string]bool{subject: true}
	if v := s.VRRP; v != nil {
		for _, i := range v.Instances {
			names[i.Name] = true
		}
		for _, t := range v.Trackers {
			names[t.Name], names[t.Kind+" "+t.Name] = true, true
		}
		for _, c := range v.Scripts {
			names[c.Name] = true
		}
		for _, g := range v.Groups {
			names[g.Name] = true
		}
	}
	return keep(list, func(e Event) bool {
		switch {
		case e.Kind == "reload":
			return true
		case e.Kind == "process":
			return e.Subject == "vrrp" && s.VRRP != nil || e.Subject == "checkers" && s.Checkers != nil
		}
		owner, _, _ := strings.Cut(e.Subject, "/")
		return names[e.Subject] || names[owner] && !strings.Contains(subject, "/")
	})
}

// Explain writes what is known of a subject, and its history.
func Explain(w io.Writer, s *Status, subject string, events []Event, v View) error {
	part, known := s.About(subject)
	if !known {
		return fmt.Errorf("there is nothing called %q: an instance, sync group, virtual server, virtual-server/real-server, tracker or BFD session has such a name", subject)
	}
	p := &page{colour: v.Colour}
	v.All = true
	if part.VRRP != nil {
		v.alarms(p, part.VRRP.Alarms)
		v.vrrp(p, part.VRRP)
	}
	if part.Checkers != nil {
		v.services(p, part.Checkers.Services)
	}
	p.line()
	p.put(cell{text: "HISTORY", style: bold}, 0)
	p.end()
	past := part.EventsAbout(subject, events)
	if len(past) == 0 {
		p.put(cell{text: "nothing has happened since the daemon keeps a history", style: faint}, 0)
		p.end()
	}
	v.events(p, past)
	_, err := w.Write(p.out.Bytes())
	return err
}

// keep returns the elements for which f is true, in a list of their own.
func keep[T any](list []T, f func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return !f(v) })
}
