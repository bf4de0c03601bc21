package control

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// alarms stand above all else: something between the routers is wrong.
func (v View) alarms(p *page, list []Alarm) {
	if len(list) == 0 {
		return
	}
	t := table{head: []string{"ALARM", "INSTANCE", "FOR", "LAST SEEN", "TIMES"}}
	for _, a := range list {
		st := bad
		if a.Level == LevelWarning {
			st = warn
		}
		t.add(styled(a.Code, st), text(a.Instance), number(v.age(a.Since)), number(v.ago(a.Last)), number(fmt.Sprint(a.Count)))
		for _, line := range wrap(a.Reason) {
			t.note("", line, plain)
		}
		// With a single host the sentence has it all.
		if len(a.Evidence) > 1 || a.Others > 0 {
			for _, ev := range a.Evidence {
				t.note("evidence", ev.String(), plain)
			}
			if a.Others > 0 {
				t.note("evidence", plural(a.Others, "packet", "packets")+" of further hosts", plain)
			}
		}
	}
	p.line()
	p.table("", t)
}

// lineWidth is how long a line of a sentence becomes.
const lineWidth = 110

// wrap breaks a sentence into lines.
func wrap(s string) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > lineWidth {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

// lonely is how long a MASTER must have heard nobody for status to speak of it.
const lonely = 10 * time.Second

// alone is a hint for a MASTER that has never heard another router. That is how it
// is for one whose peers have always been backups; it is also how it is when they
// cannot be heard, and then they are MASTER as well.
func (v View) alone(i Instance, foreign []ForeignVRID) string {
	if i.State != "MASTER" || i.AdvertsHeard > 0 || len(i.Discards) > 0 || len(i.Peers) > 0 || v.Now.Sub(i.Since) < lonely {
		return ""
	}
	s := "no other router heard yet: they are backups, or a firewall drops IP protocol 112 or multicast"
	var others []string
	for _, f := range foreign {
		if f.Interface == i.Interface {
			others = append(others, fmt.Sprintf("VRID %d by %s", f.VRID, f.Peer))
		}
	}
	if len(others) > 0 {
		s += ", or one has another virtual_router_id (heard: " + strings.Join(others, ", ") + ")"
	}
	return s
}
