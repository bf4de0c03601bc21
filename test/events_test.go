package test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"director/internal/control"
	"director/internal/netlab/labtest"
)

// What happens is told while it happens and afterwards, by the daemon, by the one that follows it, and when none runs; each event once.
func TestEvents(t *testing.T) {
	p := newPair(t)
	conf := vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, forbearing) + vrrp("VI_2", 52, 150, "192.0.2.101/24", fast, forbearing)
	a := startDirector(t, p.a, conf)
	a.WaitInstance("VI_1", "MASTER", patience)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out labtest.Buffer
	argv := a.argv("events", "--follow", "--json", "--kind", "instance,process")
	follow := p.a.Command(ctx, argv...)
	follow.Stdout = &out
	p.Must(follow.Start())
	says := func(what string, words ...string) {
		t.Helper()
		p.Eventually(patience, what, func() error {
			for _, line := range strings.Split(out.String(), "\n") {
				found := true
				for _, w := range words {
					found = found && strings.Contains(line, w)
				}
				if found {
					return nil
				}
			}
			return fmt.Errorf("in %s", out.String())
		})
	}
	says("the past", `"subject":"VI_1"`, `"to":"MASTER"`, "no master heard")
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	says("the kill", `"kind":"process"`, "signal: killed")
	says("the resumption", `"subject":"VI_1"`, "resumed")

	text, err := a.CLI("explain", "VI_1")
	p.Must(err)
	for _, want := range []string{"192.0.2.100/24", "HISTORY", "BACKUP -> MASTER", "signal: killed", "resumed as MASTER"} {
		if !strings.Contains(text, want) {
			t.Errorf("explain does not say %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "VI_2") {
		t.Errorf("explain tells of another instance:\n%s", text)
	}
	if out, err := a.CLI("explain", "VI_9"); err == nil || !strings.Contains(out+err.Error(), "VI_9") {
		t.Errorf("explain of nothing: %v, %s", err, out)
	}

	// Stopped: the history is still there, and who follows waits for the next daemon.
	a.Stop()
	says("the stop", `"subject":"VI_1"`, `"to":"STOP"`)
	text, err = a.CLI("events", "--subject", "VI_1", "-n", "1")
	p.Must(err)
	if !strings.Contains(text, "MASTER -> STOP") {
		t.Errorf("events of a daemon that has stopped: %s", text)
	}
	a = a.Again()
	a.WaitInstance("VI_1", "MASTER", patience)
	p.Eventually(patience, "the next daemon's events", func() error {
		if n := strings.Count(out.String(), `"to":"MASTER","reason":"no master heard`); n < 4 {
			return fmt.Errorf("%d in %s", n, out.String())
		}
		return nil
	})
	cancel()
	_ = follow.Wait()
	last := uint64(0)
	for line := range strings.Lines(out.String()) {
		var e control.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Seq <= last {
			t.Errorf("after event %d came %s (%v)", last, line, err)
		}
		last = e.Seq
	}
}
