package control

import (
	"fmt"
	"strings"
)

// trackers lists what is tracked beside scripts; where there is much of it, what is up
// is only named.
func (v View) trackers(p *page, list []Tracker) {
	t := table{head: []string{"TRACKED", "STATE", "FOR", "FOUND"}}
	var up []string
	for _, tr := range list {
		if name := tr.Kind + " " + tr.Name; tr.State == "up" && len(list) > roomy && !v.All {
			up = append(up, name)
		} else {
			t.add(text(name), styled(tr.State, healthStyle(tr.State)), number(v.age(tr.Since)), text(dash(tr.Detail)))
		}
	}
	v.tableAndRest(p, t, "tracked", up)
}

// scripts lists the track scripts in the same way.
func (v View) scripts(p *page, list []Script) {
	t := table{head: []string{"SCRIPT", "STATE", "FOR", "LAST RUN", "TOOK", "RESULT"}}
	var up []string
	for _, s := range list {
		if s.State == "up" && len(list) > roomy && !v.All {
			up = append(up, s.Name)
			continue
		}
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
	v.tableAndRest(p, t, "scripts", up)
}

// tableAndRest prints a table, and beneath it what is in order by its names.
func (v View) tableAndRest(p *page, t table, what string, up []string) {
	if len(t.rows) > 0 {
		p.line()
		p.table("", t)
	}
	if len(up) == 0 {
		return
	}
	if len(t.rows) == 0 {
		p.line()
	}
	const most = 10
	rest := ""
	if len(up) > most {
		up, rest = up[:most], fmt.Sprintf(" and %d more", len(up)-most)
	}
	p.line(text(what + " and up: " + strings.Join(up, ", ") + rest))
}
