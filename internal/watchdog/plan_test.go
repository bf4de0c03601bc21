package watchdog

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

// plan asks for the plan of a file in the daemon's directory.
func (d *daemon) plan(file string) control.Plan {
	d.t.Helper()
	q := control.PlanQuery{}
	if file != "" {
		q.File, q.Text = filepath.Join(d.dir, file), []byte(d.text(file))
	}
	p, err := d.client().Plan(d.t.Context(), q)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

// other writes another configuration.
func (d *daemon) other(name string, c *config.Config) {
	d.t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		d.t.Fatal(err)
	}
	d.file(name, string(text))
}

func TestPlanAsksEveryChild(t *testing.T) {
	d := ready(t, "web", "farm")
	next := conf("web db", "farm far")
	next.Global.LogLevel = "debug"
	d.other("next", next)
	want := control.Plan{File: filepath.Join(d.dir, "next"), Changes: control.Changes{
		Config: []string{"changed global.log_level: - -> debug", "added vrrp_instance.db", "added virtual_server.far"},
		IPVS:   []string{"farm", "far"}, VRRP: []string{"web", "db"},
	}}
	if diff := cmp.Diff(want, d.plan("next")); diff != "" {
		t.Error(diff)
	}
	if p := d.plan(""); p.File != filepath.Join(d.dir, "config") || len(p.Changes.Config) != 0 {
		t.Errorf("the plan of the file in use is %+v", p)
	}
	if s := d.status(); s.Generation != 1 || s.LastReload != nil {
		t.Errorf("a plan left generation %d, last reload %+v", s.Generation, s.LastReload)
	}
	if log := d.log(); strings.Count(log, "checkers plan") != 2 || strings.Count(log, "vrrp plan") != 2 || strings.Count(log, "configure") != 2 {
		t.Errorf("the children were told\n%s", log)
	}
}

func TestPlanTellsWhyAReloadWouldBeRefused(t *testing.T) {
	d := ready(t, "web", "farm")
	d.file("bad", "invalid")
	d.other("refused", conf("refuse", "farm"))
	moved := conf("web", "farm")
	moved.Global.NetworkNamespace = "lab"
	d.other("moved", moved)
	for file, want := range map[string]string{
		"bad":     filepath.Join(d.dir, "bad") + ":3: first\n" + filepath.Join(d.dir, "bad") + ":7: second",
		"refused": "no such interface",
		"moved":   filepath.Join(d.dir, "moved") + `: global.network_namespace: "lab" cannot come into force while director runs in "", allowed is a restart`,
	} {
		p := d.plan(file)
		if got := strings.Join(p.Errors, "\n"); got != want || !p.Changes.None() {
			t.Errorf("%s: got %q and %+v, want %q", file, got, p.Changes, want)
		}
	}
}

func TestPlanOutlivesItsChildren(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	d.start(func(o *Options) { o.ackTimeout = 3 * time.Second })
	d.says("director is ready")
	d.other("silent", conf("silent", "farm"))
	if p := d.plan("silent"); len(p.Errors) != 1 || p.Errors[0] != "director: vrrp did not answer within 3s" {
		t.Errorf("got %+v", p)
	}
	d.other("die", conf("web", "die"))
	if p := d.plan("die"); len(p.Errors) != 1 || p.Errors[0] != "director: checkers died while it worked out what it would do" {
		t.Errorf("got %+v", p)
	}
	d.await("checkers applied 1", 2)
}

// A child that would be started is foreseen by the function of the options.
func TestPlanOfAChildThatDoesNotRun(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", ""))
	d.start(func(o *Options) {
		o.Foresee = func(r Role, c *config.Config) (*control.Changes, error) {
			return &control.Changes{IPVS: []string{string(r) + " " + c.VirtualServers[0].Name}}, nil
		}
	})
	d.says("director is ready")
	d.other("next", conf("web", "farm"))
	if p := d.plan("next"); len(p.Errors) != 0 || len(p.Changes.IPVS) != 1 || p.Changes.IPVS[0] != "checkers farm" || len(p.Changes.VRRP) != 1 {
		t.Errorf("got %+v", p)
	}
}

func TestReloadTellsWhatItDid(t *testing.T) {
	d := ready(t, "web", "farm")
	d.configure(conf("web db", "farm"))
	r := d.reload()
	if r.Changes == nil || cmp.Diff(&control.Changes{IPVS: []string{"farm"}, VRRP: []string{"web", "db"}}, r.Changes) != "" {
		t.Errorf("got %+v", r.Changes)
	}
	d.says(`to="in force" reason="1 change of IPVS, 2 changes of VRRP"`)
	d.file("config", "invalid")
	if r := d.reload(); r.OK || r.Changes != nil {
		t.Errorf("got %+v", r)
	}
}

func TestForeseeStart(t *testing.T) {
	d := prepare(t)
	d.configure(conf("web", "farm"))
	o := fakeOptions(d.dir, nil)
	o.Foresee = func(r Role, c *config.Config) (*control.Changes, error) {
		if r == RoleVRRP {
			return &control.Changes{VRRP: []string{c.Instances[0].Name}}, nil
		}
		return &control.Changes{IPVS: []string{c.VirtualServers[0].Name}}, nil
	}
	p, err := ForeseeStart(o)
	want := control.Plan{File: filepath.Join(d.dir, "config"), Changes: control.Changes{IPVS: []string{"farm"}, VRRP: []string{"web"}}}
	if diff := cmp.Diff(want, p); diff != "" || err != nil {
		t.Error(err, diff)
	}
	d.file("config", "invalid")
	if p, err := ForeseeStart(o); err != nil || len(p.Errors) != 2 {
		t.Errorf("got %+v, %v", p, err)
	}
}
