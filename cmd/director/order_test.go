package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"director/internal/control"
)

func TestOrderArguments(t *testing.T) {
	t.Setenv("SUDO_USER", "alice")
	for _, tt := range []struct {
		args string
		want control.Order
	}{
		{"drain web a b --deadline 10m", control.Order{Verb: "drain", Service: "web", Servers: []string{"a", "b"}, Deadline: 10 * time.Minute}},
		{"drain --everywhere 10.0.0.11 --for 2h", control.Order{Verb: "drain", Servers: []string{"10.0.0.11"}, For: 2 * time.Hour}},
		{"maintain web all --force --reason x", control.Order{Verb: "maintain", Service: "web", Servers: []string{"all"}, Force: true, Reason: "x"}},
		{"weight web a b 50%", control.Order{Verb: "weight", Service: "web", Servers: []string{"a", "b"}, Weight: "50%"}},
		{"weight --everywhere a 5", control.Order{Verb: "weight", Servers: []string{"a"}, Weight: "5"}},
		{"ready web a", control.Order{Verb: "ready", Service: "web", Servers: []string{"a"}}},
	} {
		words := strings.Fields(tt.args)
		c := newOrder(&options{}, words[0], words[0], "", "", "")
		if words[0] == control.VerbDrain {
			c.cmd.Flags().DurationVar(&c.Deadline, "deadline", 0, "")
		}
		if err := c.cmd.ParseFlags(words[1:]); err != nil {
			t.Fatal(err)
		}
		if err := c.take(c.cmd, c.cmd.Flags().Args()); err != nil {
			t.Errorf("%s: %v", tt.args, err)
			continue
		}
		tt.want.Claimed = "alice"
		if got := c.Order; !sameOrder(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.args, got, tt.want)
		}
	}
	for _, args := range []string{"drain web", "drain", "weight web a", "drain --everywhere", "drain web a --timeout 5s", "maintain web a --deadline 5s", "ready web a --force", "drain web a --for soon"} {
		root := newRoot()
		root.SetErr(new(bytes.Buffer))
		if status := execute(root, strings.Fields(args)); status != exitUsage {
			t.Errorf("%s: exit status %d", args, status)
		}
	}
}

func sameOrder(a, b control.Order) bool {
	same := strings.Join(a.Servers, " ") == strings.Join(b.Servers, " ")
	a.Servers, b.Servers = nil, nil
	return same && a.Verb == b.Verb && a.Service == b.Service && a.Weight == b.Weight && a.Reason == b.Reason &&
		a.Claimed == b.Claimed && a.For == b.For && a.Deadline == b.Deadline && a.Force == b.Force
}

// How a drain that is waited for goes on, and with what status the command ends.
func TestWaitForADrain(t *testing.T) {
	drain := control.Override{Order: control.VerbDrain}
	drained, deadline, over := drain, drain, drain
	drained.Drained = time.Now()
	deadline.By = time.Now()
	over.Order, over.After, over.Left = control.VerbMaintain, control.AfterDeadline, 3
	emptied := control.Override{Order: control.VerbMaintain, After: control.AfterDrained}
	away := control.Override{Order: control.VerbMaintain}
	server := func(o *control.Override) control.OrderedServer {
		return control.OrderedServer{Service: "web", Server: control.Server{Name: "a", Override: o}}
	}
	for _, tt := range []struct {
		name   string
		of     []*control.Override
		done   bool
		status int
	}{
		{"connections left", []*control.Override{&drain}, false, 0},
		{"before the deadline", []*control.Override{&deadline}, false, 0},
		{"one of two", []*control.Override{&drained, &drain}, false, 0},
		{"drained", []*control.Override{&drained, &emptied}, true, exitOK},
		{"deadline", []*control.Override{&emptied, &over}, true, exitLeft},
		{"ended by somebody", []*control.Override{nil}, true, exitFailure},
		{"in maintenance by somebody", []*control.Override{&away}, true, exitFailure},
	} {
		var r control.OrderResult
		for _, o := range tt.of {
			r.Servers = append(r.Servers, server(o))
		}
		f := orderFlags{Order: control.Order{Verb: control.VerbDrain}}
		if _, done := f.progress(r); done != tt.done {
			t.Errorf("%s: done %v", tt.name, done)
		}
		if !tt.done {
			continue
		}
		status := exitOK
		var failed *failure
		if err := f.outcome(r); errors.As(err, &failed) {
			status = failed.status
		}
		if status != tt.status {
			t.Errorf("%s: exit status %d, want %d", tt.name, status, tt.status)
		}
	}
	ready := orderFlags{Order: control.Order{Verb: control.VerbReady}}
	for weight, want := range map[int]bool{-1: false, 0: false, 4: true} {
		s := server(nil)
		s.Installed, s.KernelWeight = weight >= 0, weight
		if _, done := ready.progress(control.OrderResult{Servers: []control.OrderedServer{s}}); done != want {
			t.Errorf("ready with weight %d in the kernel: done %v", weight, done)
		}
	}
}
