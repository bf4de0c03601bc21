package watchdog

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"director/config"
	"director/internal/control"
)

// One mistake in a template of a large farm fills neither status nor history nor log.
func TestManyErrors(t *testing.T) {
	const many = 60_000
	parse := func(name string, text []byte) (*config.Config, []config.Warning, error) {
		if !strings.HasPrefix(string(text), "many") {
			return parseJSON(name, text)
		}
		errs := make(config.Errors, many)
		warnings := make([]config.Warning, many)
		for i := range errs {
			errs[i] = config.Error{File: name, Line: i + 1, Msg: strings.Repeat("ü", 3000)}
			warnings[i] = config.Warning(errs[i])
		}
		return nil, warnings, errs
	}
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start(func(o *Options) { o.Parse = parse })
	d.says("director is ready")
	d.file("config", "many")
	r := d.reload()
	plan, err := d.client().Plan(t.Context(), control.PlanQuery{})
	if err != nil {
		t.Fatal(err)
	}
	rest := fmt.Sprintf("config: and %d more: `director check` tells all", many-maxFindings)
	for what, list := range map[string][]string{
		"errors": r.Errors, "warnings": r.Warnings, "status": d.status().LastReload.Errors, "plan": plan.Errors, "warnings of a plan": plan.Warnings,
	} {
		if len(list) != maxFindings+1 || !strings.HasSuffix(strings.Replace(list[maxFindings], "warning: ", "", 1), rest) ||
			!strings.Contains(list[0], "config:1: ") || len(list[0]) > maxText || !utf8.ValidString(list[0]) {
			t.Errorf("%s: %d, the last %.200q", what, len(list), list[len(list)-1])
		}
	}
	if n := len(d.out.String()); n > 500<<10 {
		t.Errorf("%d bytes of log", n)
	}
	last := d.status().LastReload.At
	d.cancel()
	if err := d.ends(); err != nil {
		t.Fatal(err)
	}
	list, err := ReadJournal(filepath.Join(d.dir, "run"))
	var found bool
	for _, e := range list {
		found = found || e.Kind == "reload" && e.Time.Equal(last) && e.To == "refused" && len(e.Reason) <= maxText
	}
	if err != nil || !found {
		t.Errorf("the history: %+v, %v", list, err)
	}

	// The same at the start.
	if err := os.RemoveAll(filepath.Join(d.dir, "run")); err != nil {
		t.Fatal(err)
	}
	o := fakeOptions(d.dir, nil)
	o.Parse = parse
	if errs, ok := Run(t.Context(), o).(config.Errors); !ok || len(errs) != maxFindings+1 {
		t.Errorf("at the start: %d errors", len(errs))
	}
}
