package watchdog

import (
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"director/internal/control"
)

// TestLogLevels: what an operator orders reaches every process, those that are started
// later as well, is shown, and ends by itself.
func TestLogLevels(t *testing.T) {
	d := prepare(t)
	c := withWeb(d, "a.sock")
	c.Global.LogLevel = "warn"
	d.configure(c)
	var mu sync.Mutex
	var own []string
	d.start(func(o *Options) {
		o.OverrideLog = func(level string) error {
			mu.Lock()
			defer mu.Unlock()
			own = append(own, level)
			return nil
		}
	})
	d.await("web serve /a.sock", 1)
	order := func(q control.LogQuery) string {
		t.Helper()
		list, err := d.client().LogLevels(t.Context(), q)
		if err != nil {
			return err.Error()
		}
		var out []string
		for _, l := range list {
			word := l.Process + " " + l.Level
			if l.Ordered {
				word += " ordered"
			}
			out = append(out, word)
		}
		return strings.Join(out, ", ")
	}
	for _, step := range []struct {
		query control.LogQuery
		want  string
	}{
		{control.LogQuery{}, "parent warn, vrrp warn, checkers warn, web warn"},
		{control.LogQuery{Level: "debug", Processes: []string{"vrrp", "web"}, For: time.Hour}, "parent warn, vrrp debug ordered, checkers warn, web debug ordered"},
		{control.LogQuery{Level: "loud"}, `log level "loud": must be debug, info, warn or error, or auto`},
		{control.LogQuery{Level: "info", Processes: []string{"cook"}}, `there is no process "cook", allowed are parent, vrrp, checkers, web`},
		{control.LogQuery{Level: "ERROR", Processes: []string{"parent", "checkers"}}, "parent error ordered, vrrp debug ordered, checkers error ordered, web debug ordered"},
	} {
		if got := order(step.query); got != step.want {
			t.Errorf("%+v: got %s, want %s", step.query, got, step.want)
		}
	}
	d.await(`vrrp level "debug"`, 1)
	d.await(`checkers level "error"`, 1)
	d.await(`web level "debug"`, 1)
	if s := d.status(); len(s.LogLevels) != 4 || s.LogLevels[1].Until.IsZero() || !s.LogLevels[0].Until.IsZero() || s.LogLevels[0].Configured != "warn" {
		t.Errorf("status says %+v", s.LogLevels)
	}

	// A process that is started again has it, before it has its configuration.
	if err := syscall.Kill(d.process(RoleVRRP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await(`vrrp level "debug"`, 2)
	if err := syscall.Kill(d.process(RoleWeb).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await(`web level "debug"`, 2)

	// It ends by itself, and otherwise by auto.
	order(control.LogQuery{Level: "info", Processes: []string{"checkers"}, For: 50 * time.Millisecond})
	d.await(`checkers level "info"`, 1)
	d.await(`checkers level ""`, 1)
	d.eventually("checkers has what is configured", func() bool {
		return order(control.LogQuery{}) == "parent error ordered, vrrp debug ordered, checkers warn, web debug ordered"
	})
	if got := order(control.LogQuery{Level: control.LogAuto}); got != "parent warn, vrrp warn, checkers warn, web warn" {
		t.Errorf("auto: %s", got)
	}
	d.await(`vrrp level ""`, 1)
	d.await(`web level ""`, 1)
	mu.Lock()
	if got := fmt.Sprint(own); got != "[error ]" {
		t.Errorf("the parent's own was set to %s", got)
	}
	mu.Unlock()
	if s := d.status(); s.LogLevels != nil {
		t.Errorf("status says %+v", s.LogLevels)
	}
	var told []string
	for _, e := range past(t, d) {
		if e.Kind == "loglevel" {
			told = append(told, fmt.Sprintf("%s %s->%s %s", e.Subject, e.From, e.To, e.Reason))
		}
	}
	for _, want := range []string{"vrrp, web warn->debug by root for 1h0m0s", "parent, checkers warn->error by root",
		"checkers info->warn its time is over", "parent error->warn by root", "vrrp, web debug->warn by root"} {
		if !strings.Contains(strings.Join(told, "\n"), want) {
			t.Errorf("the history has no %q:\n%s", want, strings.Join(told, "\n"))
		}
	}
}

// past is the history of a daemon.
func past(t *testing.T, d *daemon) []control.Event {
	t.Helper()
	list, err := ReadJournal(filepath.Join(d.dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestEveryMessageCounts: a kind of message that is not counted would end whoever gets it.
func TestEveryMessageCounts(t *testing.T) {
	kind := reflect.TypeFor[Message]()
	for i := range kind.NumField() {
		var m Message
		reflect.ValueOf(&m).Elem().Field(i).Set(reflect.New(kind.Field(i).Type.Elem()))
		if n := m.count(); n != 1 {
			t.Errorf("a message with %s alone counts %d kinds", kind.Field(i).Name, n)
		}
	}
}
