package webd

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const alertRules = "../../etc/prometheus/alerts.yml"

// TestAlerts has promtool judge the rules and run them: each is silent while all is well
// and fires when it is not.
func TestAlerts(t *testing.T) {
	rules, err := os.ReadFile(alertRules)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("testdata/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(string(rules), -1)
	if len(names) < 20 {
		t.Errorf("only %d rules", len(names))
	}
	for _, n := range names {
		if !strings.Contains(string(tests), "- name: "+n[1]+"\n") {
			t.Errorf("rule %s has no test", n[1])
		}
	}
	for _, args := range [][]string{{"check", "rules", alertRules}, {"test", "rules", "testdata/alerts_test.yml"}} {
		if out, err := exec.Command("promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
	named(t, "alerts.yml", string(rules))
}

// named checks that every metric in a text is one, with labels that it has.
func named(t *testing.T, file, text string) {
	t.Helper()
	known := make(map[string]family)
	for _, f := range families() {
		known[f.name] = f
		if f.kind == histogram || f.kind == summary {
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				known[f.name+part] = f
			}
		}
	}
	found := 0
	for _, m := range regexp.MustCompile(`\b(director_\w+)(?:\{([^}]*)\})?`).FindAllStringSubmatch(text, -1) {
		f, ok := known[m[1]]
		if !ok {
			t.Errorf("%s names the metric %s, which does not exist", file, m[1])
			continue
		}
		found++
		for _, l := range regexp.MustCompile(`(\w+)(?:=~|!~|!=|=)\\?"`).FindAllStringSubmatch(m[2], -1) {
			if l[1] != "instance" && l[1] != "job" && !slices.Contains(f.labels, l[1]) {
				t.Errorf("%s asks %s for the label %s, which it has not", file, m[1], l[1])
			}
		}
	}
	if found < 15 {
		t.Errorf("%s names only %d metrics", file, found)
	}
}

// TestDashboard: each metric named in the dashboard exists, each panel has a title, a
// unit or none, and a place of its own.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../etc/grafana/director.json")
	if err != nil {
		t.Fatal(err)
	}
	named(t, "director.json", string(text))
	var board struct {
		UID    string `json:"uid"`
		Panels []struct {
			ID      int    `json:"id"`
			Type    string `json:"type"`
			Title   string `json:"title"`
			GridPos struct{ X, Y, W, H int }
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %d %q of type %s with %d queries", p.ID, p.Title, p.Type, len(p.Targets))
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" || at[0] >= 24 {
					t.Errorf("panels %q and %q are at the same place", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
	}
	// promtool knows whether the queries are any.
	var rules strings.Builder
	rules.WriteString("groups:\n- name: x\n  rules:\n")
	n := 0
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			n++
			expr := strings.NewReplacer("$__rate_interval", "5m", "$director", "x", "$instance", "x", "$service", "x").Replace(q.Expr)
			fmt.Fprintf(&rules, "  - record: r%d\n    expr: %q\n", n, expr)
		}
	}
	file := filepath.Join(t.TempDir(), "queries.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("promtool", "check", "rules", "--lint=none", file).CombinedOutput(); err != nil || n < 15 {
		t.Errorf("%d queries: %v\n%s", n, err, out)
	}
}
