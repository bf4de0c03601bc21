package test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// What differs from run to run is put into one form, so that the page changes only when director does.
var steady = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\b(parent|vrrp|checkers) \d+`), "$1 1234"},
	{regexp.MustCompile(`director ` + regexp.QuoteMeta(binaryVersion)), "director 1.0"},
	{regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d{3}`), "12:00:00.000"},
	{regexp.MustCompile(`(no (?:master|advert)[a-z0-9. ]*) for (?:\d+m)?[\d.]+s`), "$1 for 3.6s"},
	// One reloads after the other.
	{regexp.MustCompile(`(with a wrong password), \d+ of another VRRP version`), "$1"},
	{regexp.MustCompile(`no answer after [\d.]+m?s`), "no answer after 1s"},
	// Whichever of the checks ran last.
	{regexp.MustCompile(`(?:http: status 200|tcp: connected) in [\d.]+[mµ]?s, [\d.]+m?s ago`), "http: status 200 in 2ms, 1s ago"},
	{regexp.MustCompile(`\b(?:\d+m)?[\d.]+m?s ago`), "1s ago"},
	{regexp.MustCompile(`in force after [\d.]+m?s`), "in force after 200ms"},
	{regexp.MustCompile(`MASTER after [\d.]+m?s`), "MASTER after 700ms"},
	// Whichever of the checks failed first.
	{regexp.MustCompile(`check failed: tcp \S+ through (\S+): refused`), "check failed: http $1:80/healthz: refused"},
	// What comes and goes with time: the kernel's counters.
	{regexp.MustCompile(`(?m)^ +\d+ connections, in .*\n`), ""},
	{regexp.MustCompile(`eth0@if\d+ +UP +`), "eth0  UP  "},
	{regexp.MustCompile(`adverts: \d+`), "adverts: 6"},
}

// otherTimes are times of which only the size matters; keeps are those that have their form.
var (
	keeps      = regexp.MustCompile(`for 3\.6s|after 1s|after [27]00ms|1s ago|in 2ms,`)
	otherTimes = regexp.MustCompile(keeps.String() + `|\b[\d.]+[mµ]s\b|\b(?:\d+m)?\d+s\b`)
)

// stable is what a command printed without what differs from run to run.
func (s *story) stable(out string) string {
	for _, d := range s.lb {
		out = strings.NewReplacer(d.ConfigPath(), "/etc/director/director.toml", d.RuntimeDir(), "/run/director").Replace(out)
	}
	return stable(out)
}

func stable(out string) string {
	for _, r := range steady {
		out = r.pattern.ReplaceAllString(out, r.text)
	}
	out = otherTimes.ReplaceAllStringFunc(out, func(m string) string {
		switch {
		case keeps.MatchString(m):
			return m
		case strings.HasSuffix(m, "ms"), strings.HasSuffix(m, "µs"):
			return "200ms"
		}
		return "9s"
	})
	return tabulate(inOrder(out))
}

// inOrder sorts what happens at the start, where several processes and checks are ready in any order.
func inOrder(out string) string {
	begins := regexp.MustCompile(`unknown -> up|starting -> running|INIT -> BACKUP`)
	lines := strings.SplitAfter(out, "\n")
	for i := 0; i < len(lines); i++ {
		n := i
		for n < len(lines) && begins.MatchString(lines[n]) {
			n++
		}
		if n > i {
			slices.Sort(lines[i:n])
			i = n
		}
	}
	return strings.Join(lines, "")
}

var tableHead = regexp.MustCompile(`^ *[A-Z][A-Z/ ]*(?:  +[A-Z][A-Z/ ]*)+$`)

// tabulate aligns tables anew, whose cells have become shorter or longer. A table is a line of titles and the lines below
// that begin in the same column; what is indented further are notes.
func tabulate(out string) string {
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		if !tableHead.MatchString(line) {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		rows := []int{i}
		for n := i + 1; n < len(lines) && strings.TrimSpace(lines[n]) != ""; n++ {
			depth := len(lines[n]) - len(strings.TrimLeft(lines[n], " "))
			if depth < indent {
				break
			}
			if depth == indent {
				rows = append(rows, n)
			}
		}
		align(lines, rows, indent)
	}
	return strings.Join(lines, "\n")
}

// align lays out the rows of a table. Two blanks or more divide columns where all rows have them.
func align(lines []string, rows []int, indent int) {
	cells := make([][]string, len(rows))
	for i, n := range rows {
		cells[i] = columns(lines[n])
	}
	most := len(cells[0])
	for i := range cells {
		if len(cells[i]) > most {
			return // not a table
		}
		for len(cells[i]) < most {
			cells[i] = append(cells[i], "")
		}
	}
	for c, title := range cells[0] {
		width := 0
		for i := range cells {
			if i > 0 && (title == "ACTIVE" || title == "INACTIVE") {
				cells[i][c] = "0"
			}
			if i > 0 && title == "TIMES" {
				cells[i][c] = "6"
			}
			width = max(width, utf8.RuneCountInString(cells[i][c]))
		}
		right := slices.Contains([]string{"FOR", "PRIORITY", "WEIGHT/QUORUM", "WEIGHT", "KERNEL", "ACTIVE", "INACTIVE", "TIMES", "LAST SEEN"}, title)
		for i := range cells {
			pad := strings.Repeat(" ", width-utf8.RuneCountInString(cells[i][c]))
			if right {
				cells[i][c] = pad + cells[i][c]
			} else {
				cells[i][c] += pad
			}
		}
	}
	for i, n := range rows {
		lines[n] = strings.Repeat(" ", indent) + strings.TrimRight(strings.Join(cells[i], "  "), " ")
	}
}

func columns(line string) []string {
	return regexp.MustCompile(` {2,}`).Split(strings.TrimSpace(line), -1)
}

// findings are the paragraphs of what doctor printed that are about the lab, by the names of the checks: others are about the
// machine that the lab is on, such as packages that are installed there.
func findings(out string, ids ...string) string {
	var kept []string
	for _, block := range strings.Split(strings.TrimSpace(out), "\n\n") {
		if words := strings.Fields(block); len(words) > 1 && slices.Contains(ids, words[1]) {
			kept = append(kept, block)
		}
	}
	if len(kept) == 0 {
		last := out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:]
		summary, _, _ := strings.Cut(last, ",")
		return summary + "\n"
	}
	return strings.Join(kept, "\n\n") + "\n"
}

// TestStable: two runs that differ in nothing but time have one page.
func TestStable(t *testing.T) {
	quick := `lb1  director 1.2.3-test, up 4s
processes parent 796, vrrp 813, checkers 804 running

INSTANCE  STATE   FOR  ADDRESS     PRIORITY  WHY
web       MASTER   0s  192.0.2.80       100  no master heard for 3.6098s

  SERVER         HEALTH  FOR  WEIGHT  KERNEL  ACTIVE  INACTIVE  LAST CHECK
  192.0.2.11:80  down     2s       1       -       0         0  http: refused, 0s ago
    why  check failed
  192.0.2.12:80  up       9s       1       1       0         2  http: status 200 in 3.5ms, 0s ago
18:29:03.105  server     web/192.0.2.11:80  unknown -> up       checks passed
18:29:03.260  instance   web             INIT -> BACKUP      started
`
	slow := `lb1  director 1.2.3-test, up 41s
processes parent 1796, vrrp 12, checkers 80441 running

INSTANCE  STATE   FOR  ADDRESS     PRIORITY  WHY
web       MASTER  33s  192.0.2.80       100  no master heard for 4s

  SERVER         HEALTH  FOR  WEIGHT  KERNEL  ACTIVE  INACTIVE  LAST CHECK
  192.0.2.11:80  down    12s       1       -       0         0  http: refused, 1s ago
    why  check failed
  192.0.2.12:80  up      35s       1       1       1        12  tcp: connected in 284µs, 0s ago
09:00:00.105  instance   web             INIT -> BACKUP      started
09:00:01.105  server     web/192.0.2.11:80  unknown -> up       checks passed
`
	want := `lb1  director 1.0, up 9s
processes parent 1234, vrrp 1234, checkers 1234 running

INSTANCE  STATE   FOR  ADDRESS     PRIORITY  WHY
web       MASTER   9s  192.0.2.80       100  no master heard for 3.6s

  SERVER         HEALTH  FOR  WEIGHT  KERNEL  ACTIVE  INACTIVE  LAST CHECK
  192.0.2.11:80  down     9s       1       -       0         0  http: refused, 1s ago
    why  check failed
  192.0.2.12:80  up       9s       1       1       0         0  http: status 200 in 2ms, 1s ago
12:00:00.000  instance   web             INIT -> BACKUP      started
12:00:00.000  server     web/192.0.2.11:80  unknown -> up       checks passed
`
	for _, out := range []string{quick, slow} {
		if diff := cmp.Diff(want, stable(out)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
