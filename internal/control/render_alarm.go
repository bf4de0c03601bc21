package control

import (
	"fmt"
	"strings"
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

// alone tells a MASTER's operator who asks about it that no other router was heard.
// Backups send nothing, so that is how it is on a healthy network; it is also how it
// is when another one is MASTER as well and its adverts do not arrive. Nothing here
// can tell the two apart, so it is no trouble, and doctor looks for its causes.
func alone(i Instance, foreign []ForeignVRID) string {
	if i.State != "MASTER" || i.AdvertsHeard > 0 || len(i.Discards) > 0 || len(i.Peers) > 0 {
		return ""
	}
	s := "none heard: backups are silent; if another host is MASTER too, `director doctor` on both tells why"
	var others []string
	for _, f := range foreign {
		if f.Interface == i.Interface {
			others = append(others, fmt.Sprintf("VRID %d by %s", f.VRID, f.Peer))
		}
	}
	if len(others) > 0 {
		s += "; other virtual routers on this link: " + strings.Join(others, ", ")
	}
	return s
}
