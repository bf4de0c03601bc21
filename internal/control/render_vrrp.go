package control

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (v View) instances(p *page, list []Instance, alarms []Alarm, foreign []ForeignVRID) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"INSTANCE", "STATE", "FOR", "ADDRESS", "PRIORITY", "INTERFACE", "VRID", "MASTER", "WHY"}}
	for _, i := range list {
		t.add(text(i.Name), styled(i.State, instanceStyle(i.State)), number(v.age(i.Since)), text(firstAddress(i.Addresses)), number(priority(i)),
			text(i.Interface), text(vrid(i)), text(master(i)), text(i.Reason))
		n := notes{t: &t, rows: len(list), full: v.All}
		n.troubled = slices.ContainsFunc(alarms, func(a Alarm) bool { return a.Instance == i.Name })
		v.takeover(&n, i)
		v.tracks(&n, i)
		v.authentication(&n, i.Authentication)
		if s, unusual := speech(i); s != "" {
			n.detail("adverts", s, unusual)
		}
		for _, peer := range i.Peers {
			s, st := v.peer(i, peer)
			n.add("peer", s, st)
		}
		for _, path := range i.Paths {
			s, st := v.path(i, path)
			n.add("path", s, st)
		}
		if m := i.VMAC; m != nil {
			s, st := m.text(i.State == "MASTER")
			n.add("vmac", s, st)
		}
		for _, b := range i.Blocks {
			if s, st := b.text(i.State == "MASTER"); i.State == "MASTER" {
				n.add("accept", s, st)
			}
		}
		n.addresses(i)
		n.items("route", i.Routes, i.State == "MASTER")
		n.items("rule", i.Rules, i.State == "MASTER")
		if d := discards(i.Discards); d != "" {
			newest := newestDrop(i.Dropped)
			if newest == nil || v.All || v.Now.Sub(newest.Last) < dropsShown {
				n.add("dropped", d+v.lastSeen(newest), warn)
			}
		}
		if s := alone(i, foreign); s != "" && v.All {
			n.add("others", s, faint)
		}
	}
	p.line()
	if len(list) > roomy {
		p.line(text(census(list)))
	}
	p.table("", t)
}

// takeover tells what an instance waits for.
func (v View) takeover(n *notes, i Instance) {
	if o := i.Override; o != nil {
		text := o.Says() + ", " + v.age(o.Since) + " ago"
		if !o.Until.IsZero() {
			text += ", for another " + v.remaining(o.Until)
		}
		n.add(map[string]string{VerbRelease: "released", VerbPrefer: "preferred"}[o.Order], text, warn)
	}
	if !i.StartsAt.IsZero() {
		n.add("waits", "begins in "+span(max(i.StartsAt.Sub(v.Now), 0)), warn)
	}
	if !i.PreemptsAt.IsZero() {
		n.add("waits", "preempts "+master(i)+" in "+span(max(i.PreemptsAt.Sub(v.Now), 0)), warn)
	}
	if i.HeldBack != "" {
		n.add("stays", "would take over, held back by gate "+i.HeldBack, warn)
	}
	if i.Preparing {
		n.add("waits", "its addresses go up when the virtual servers behind them are in the kernel's table", warn)
	}
	for _, g := range i.Gates {
		s, st := v.gate(g)
		n.add("gate", s, st)
	}
}

// tracks tells of each tracker that is not up or moves the priority, and names the
// others in one line.
func (v View) tracks(n *notes, i Instance) {
	var up []string
	for _, term := range i.Terms {
		if term.Up && !term.Fault && term.Value == 0 && !n.full {
			up = append(up, term.Source)
			continue
		}
		st := plain
		switch {
		case term.Fault:
			st = bad
		case !term.Up:
			st = warn
		}
		s := fmt.Sprintf("%+d %s", term.Value, term.Source)
		if term.Value == 0 {
			s = term.Source
		}
		if term.Note != "" {
			s += " (" + term.Note + ")"
		}
		n.add("tracks", s, st)
	}
	if len(up) > 0 {
		n.add("tracks", strings.Join(up, ", ")+": up", plain)
	}
}

// dropsShown is for how long adverts that were dropped are shown after the last of
// them; what was put right needs no reader.
const dropsShown = 5 * time.Minute

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
		return what + ": " + strings.TrimPrefix(strings.TrimPrefix(i.Error, "link: "), "add "+i.What+": "), bad
	case i.Own:
		return what + " here, it was there before and will stay", plain
	case i.Installed:
		return what + " here", plain
	case wanted:
		return what + " missing", bad
	}
	return what + " not here", faint
}

// static tells of what is there as long as the daemon lives. Settings of interfaces are
// director's own business, and those that fail are below FAILING; interfaces of virtual
// MAC addresses stand with their instances while they are in order.
func (v View) static(p *page, list []KernelItem, instances []Instance) {
	own := make(map[string]bool)
	for _, i := range instances {
		if i.VMAC != nil {
			own[i.VMAC.Interface] = true
		}
	}
	t := table{head: []string{"STATIC", "STATE"}}
	calm := 0
	for _, i := range list {
		if strings.HasPrefix(i.What, "setting ") && !v.All {
			continue
		}
		state, st := i.text(true)
		if device, _, _ := strings.Cut(i.What, ","); st == plain && own[device] && !v.All {
			continue
		}
		if st == plain && len(list) > roomy && !v.All {
			calm++
			continue
		}
		what := strings.TrimPrefix(strings.TrimPrefix(i.What, "route "), "rule ")
		t.add(text(i.What), styled(strings.TrimLeft(strings.TrimPrefix(state, what), ": "), st))
	}
	if len(t.rows) == 0 && calm == 0 {
		return
	}
	p.line()
	if len(t.rows) > 0 {
		p.table("", t)
	}
	if calm > 0 {
		p.line(text(plural(uint64(calm), "static address, route or rule", "static addresses, routes and rules") + " here"))
	}
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
func speech(i Instance) (text string, unusual bool) {
	if i.Source == "" {
		return "", false
	}
	s := "from " + i.Source
	if i.MulticastGroup != "" {
		s += " to " + i.MulticastGroup
	}
	if n := i.Checksums["plain"]; n > 0 {
		s, unusual = s+"; heard "+plural(n, "advert", "adverts")+" with a plain checksum", true
	}
	if n := i.GlobalFirst; n > 0 {
		s, unusual = s+"; heard "+plural(n, "advert", "adverts")+" whose first address is not link-local", true
	}
	return s, unusual
}

// peer tells what was heard of a unicast peer.
func (v View) peer(i Instance, p Peer) (string, style) {
	s := p.Address.String()
	switch {
	case p.Self:
		return s + " is this host itself: nothing is sent there", warn
	case p.Heard > 0:
		return fmt.Sprintf("%s heard %s, %s", s, v.ago(p.LastHeard), plural(p.Heard, "packet", "packets")), plain
	case v.All && i.State == "MASTER":
		return s + " never heard: a backup is silent; if it is MASTER too, `director doctor` on both tells why", faint
	}
	return s + " silent, as a backup is", faint
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

// newestDrop finds the advert that was dropped last.
func newestDrop(list []Dropped) *Dropped {
	var newest *Dropped
	for i := range list {
		if d := &list[i]; d.Reason != "not_running" && (newest == nil || d.Last.After(newest.Last)) {
			newest = d
		}
	}
	return newest
}

// lastSeen tells when and from whom it came.
func (v View) lastSeen(d *Dropped) string {
	if d == nil || d.Last.IsZero() {
		return ""
	}
	return fmt.Sprintf("; the last %s from %s", v.ago(d.Last), d.Peer)
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
