package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (v View) instances(p *page, list []Instance, foreign []ForeignVRID) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"INSTANCE", "STATE", "FOR", "PRIORITY", "INTERFACE", "VRID", "MASTER", "WHY"}}
	for _, i := range list {
		t.add(text(i.Name), styled(i.State, instanceStyle(i.State)), number(v.age(i.Since)), number(priority(i)),
			text(i.Interface), text(vrid(i)), text(master(i)), text(i.Reason))
		if !i.PreemptsAt.IsZero() {
			t.note("waits", "preempts "+master(i)+" in "+span(max(i.PreemptsAt.Sub(v.Now), 0)), plain)
		}
		if i.HeldBack != "" {
			t.note("stays", "would take over, held back by gate "+i.HeldBack, warn)
		}
		for _, g := range i.Gates {
			s, st := v.gate(g)
			t.note("gate", s, st)
		}
		for _, term := range i.Terms {
			st := plain
			switch {
			case term.Fault:
				st = bad
			case !term.Up:
				st = warn
			}
			s := fmt.Sprintf("%+d %s", term.Value, term.Source)
			if term.Note != "" {
				s += " (" + term.Note + ")"
			}
			t.note("tracks", s, st)
		}
		v.authentication(&t, i.Authentication)
		if s := speech(i); s != "" {
			t.note("adverts", s, faint)
		}
		for _, peer := range i.Peers {
			s, st := v.peer(i, peer)
			t.note("peer", s, st)
		}
		for _, path := range i.Paths {
			s, st := v.path(i, path)
			t.note("path", s, st)
		}
		if m := i.VMAC; m != nil {
			s, st := m.text(i.State == "MASTER")
			t.note("vmac", s, st)
		}
		for _, b := range i.Blocks {
			if s, st := b.text(i.State == "MASTER"); i.State == "MASTER" {
				t.note("accept", s, st)
			}
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
		for _, list := range [][]KernelItem{i.Routes, i.Rules} {
			for _, item := range list {
				kind, _, _ := strings.Cut(item.What, " ")
				s, st := item.text(i.State == "MASTER")
				if i.State != "MASTER" && item.Installed {
					s, st = s+" although not MASTER", warn
				}
				t.note(kind, s, st)
			}
		}
		if n := discards(i.Discards); n != "" {
			t.note("dropped", n+v.newestDrop(i.Dropped), warn)
		}
		if s := v.alone(i, foreign); s != "" {
			t.note("others", s, faint)
		}
	}
	p.line()
	p.table("", t)
}

// text tells of a virtual MAC address.
func (m *VMAC) text(master bool) (string, style) {
	s := m.Address + " on " + m.Interface
	if m.XmitBase {
		s += ", adverts leave under another one"
	}
	switch {
	case m.Error != "":
		return s + ": " + m.Error, bad
	case m.Up && !master:
		return s + ", up although not MASTER", warn
	case master && !m.Up:
		return s + ", down", bad
	case m.Up:
		return s + ", up", plain
	}
	return s + ", down", faint
}

// text tells of an item that should be there or not.
func (i KernelItem) text(wanted bool) (string, style) {
	what := strings.TrimPrefix(strings.TrimPrefix(i.What, "route "), "rule ")
	switch {
	case i.Error != "":
		return what + ": " + i.Error, bad
	case i.Own:
		return what + " here, it was there before and will stay", plain
	case i.Installed:
		return what + " here", plain
	case wanted:
		return what + " missing", bad
	}
	return what + " not here", faint
}

// static tells of what is there as long as the daemon lives.
// Settings are director's own business while they are as they should be.
func (v View) static(p *page, list []KernelItem) {
	list = slices.DeleteFunc(slices.Clone(list), func(i KernelItem) bool {
		return strings.HasPrefix(i.What, "setting ") && i.Error == ""
	})
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"STATIC", "STATE"}}
	for _, i := range list {
		state, st := i.text(true)
		what := strings.TrimPrefix(strings.TrimPrefix(i.What, "route "), "rule ")
		t.add(text(i.What), styled(strings.TrimLeft(strings.TrimPrefix(state, what), ": "), st))
	}
	p.line()
	p.table("", t)
}

// vrid shows the number, the version, and the family when it is IPv6.
func vrid(i Instance) string {
	s := fmt.Sprintf("%d/v%d", i.VRID, i.Version)
	if i.Family == "ipv6" {
		s += " IPv6"
	}
	return s
}

// speech tells where adverts come from and go to, and what is unusual in those
// that are heard.
func speech(i Instance) string {
	if i.Source == "" {
		return ""
	}
	s := "from " + i.Source
	if i.MulticastGroup != "" {
		s += " to " + i.MulticastGroup
	}
	if n := i.Checksums["plain"]; n > 0 {
		s += "; heard " + plural(n, "advert", "adverts") + " with a plain checksum"
	}
	if i.GlobalFirst > 0 {
		s += "; heard " + plural(i.GlobalFirst, "advert", "adverts") + " whose first address is not link-local"
	}
	return s
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

// newestDrop tells when and from whom the last dropped advert came.
func (v View) newestDrop(list []Dropped) string {
	var newest Dropped
	for _, d := range list {
		if d.Reason != "not_running" && d.Last.After(newest.Last) {
			newest = d
		}
	}
	if newest.Last.IsZero() {
		return ""
	}
	return fmt.Sprintf("; the last %s from %s", v.ago(newest.Last), newest.Peer)
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
	case "unsigned":
		return "without a signature"
	case "bad_trailer":
		return "with something else than a signature behind them"
	case "unknown_key":
		return "signed with a key that this host does not have"
	case "bad_icv":
		return "with a wrong signature: key or password differ, or they were changed on the way"
	case "outside_window":
		return "signed at a time outside the time_window: clocks differ, or they were recorded"
	case "replay":
		return "that are not newer than their sender's last: recorded, or its clock was set back"
	case "wrong_ttl":
		return "with a time to live out of bounds"
	case "multicast":
		return "by multicast, to an instance that uses unicast"
	case "unicast":
		return "by unicast, to an instance that uses multicast"
	case "other_group":
		return "to another multicast group"
	case "unknown_peer":
		return "from a host that is no unicast_peer"
	case "no_heartbeat":
		return "on a heartbeat path, of a router for which it is none"
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

// trackers lists what is tracked beside scripts.
func (v View) trackers(p *page, list []Tracker) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"TRACKED", "STATE", "FOR", "FOUND"}}
	for _, tr := range list {
		t.add(text(tr.Kind+" "+tr.Name), styled(tr.State, healthStyle(tr.State)), number(v.age(tr.Since)), text(dash(tr.Detail)))
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
