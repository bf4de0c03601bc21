package control

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestVerdict: the third line says whether all is well; what somebody wants otherwise than
// the file has it is no fault.
func TestVerdict(t *testing.T) {
	server := func(change func(*Server)) func(*Status) {
		return func(s *Status) {
			r := Server{Name: "app1", Health: "up", Installed: true}
			change(&r)
			s.Checkers = &Checkers{Services: []Service{{Name: "shop", State: "up", Installed: true, Servers: []Server{r}}}}
		}
	}
	for _, tc := range []struct {
		change func(*Status)
		want   string
	}{
		{func(*Status) {}, "all is well: MASTER of web\n"},
		{server(func(*Server) {}), "all is well: MASTER of web; 1 virtual server up with 1 real server\n"},
		{server(func(r *Server) { r.Health = "down" }), "NOT WELL: real server shop/app1 is down\n"},
		{server(func(r *Server) { r.Kept = true }), "NOT WELL: the panic guard keeps 1 server that is down in service\n"},
		{server(func(r *Server) { r.Health, r.Override = "down", &Override{Order: VerbMaintain, Author: "root"} }),
			"all is well: MASTER of web; 1 virtual server up with 0 real servers\nto note: not as in the file: 1 server in maintenance\n"},
		{func(s *Status) {
			s.Checkers = &Checkers{Services: []Service{{Name: "shop", State: "unknown", Standby: true}, {State: "unknown", Installed: true}}}
		},
			"all is well: MASTER of web; 0 virtual servers up and 1 on standby, 1 without a verdict yet with 0 real servers\n"},
		{func(s *Status) {
			s.Checkers = &Checkers{Services: []Service{{Name: "shop", State: "up", Installed: true, NoVerdict: &NoVerdict{Since: at(time.Minute)}}}}
		}, "NOT WELL: checks of virtual server shop cannot be made\n"},
		{func(s *Status) { s.Readiness = &Readiness{} }, "NOT WELL: this host is not ready to serve\n"},
		{func(s *Status) { s.VRRP.Instances[0].Addresses[0].Installed = false }, "NOT WELL: without all of its addresses: web\n"},
		{func(s *Status) { s.VRRP.Instances[0].HeldBack = "lock" }, "NOT WELL: held back from a takeover: web\n"},
		{func(s *Status) { s.VRRP.Failures = make([]Failure, 2) }, "NOT WELL: 2 calls of the kernel fail\n"},
		{func(s *Status) { s.Checkers = &Checkers{Unwritten: []Failure{{What: "/x/maintenance.json"}}} }, "NOT WELL: 1 file cannot be written\n"},
		{func(s *Status) { s.Processes[1].State = "hung" }, "NOT WELL: process vrrp: hung\n"},
		{func(s *Status) { s.Processes[1].Restarts = 3 }, "all is well: MASTER of web\nprocesses"}, // long ago
		{func(s *Status) { s.Processes[1].Restarts, s.Processes[1].StartedAt = 3, at(time.Minute) }, "all is well: MASTER of web\nto note: process vrrp was started again 1m0s ago\n"},
		{func(s *Status) { s.FileMissing = true }, "to note: the file is not there any more\n"},
		{func(s *Status) { s.FileChanged = at(time.Minute) }, "to note: the file was changed 1m0s ago and is not in force"},
		{func(s *Status) { s.FileChanged, s.Trial = at(time.Minute), &Trial{} }, "all is well: MASTER of web\nto note: another file is on trial\n"},
		{func(s *Status) {
			s.VRRP.Instances[0].Override = &Override{Order: VerbRelease, Author: "root", Claimed: "alice"}
		}, "to note: web released by root for alice\n"},
	} {
		s := calm()
		tc.change(s)
		var out bytes.Buffer
		if err := Render(&out, s, View{Now: renderNow}); err != nil {
			t.Fatal(err)
		}
		want := tc.want
		if !strings.Contains(want, "\nprocesses") && !strings.Contains(out.String(), want) || strings.Contains(want, "\nprocesses") && strings.Contains(out.String(), "was started again") {
			t.Errorf("want %sgot\n%s", want, out.String())
		}
	}
}
