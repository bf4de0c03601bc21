package webd

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/control"
)

// TestVerdict: what is wrong stands at the top of the page, the worst first, and nothing
// else does.
func TestVerdict(t *testing.T) {
	well := func() *control.Status {
		s := sample()
		s.VRRP.Alarms, s.VRRP.Failures, s.Checkers.Failures, s.Checkers.Unwritten = nil, nil, nil, nil
		for i := range s.VRRP.Instances {
			s.VRRP.Instances[i].HeldBack = ""
			s.VRRP.Instances[i].Addresses = s.VRRP.Instances[0].Addresses[:1]
		}
		web := &s.Checkers.Services[0]
		web.Servers = web.Servers[:1]
		return s
	}
	for _, test := range []struct {
		what   string
		change func(*control.Status)
		level  string
		want   []string
	}{
		{"all is well", func(*control.Status) {}, "good", nil},
		{"a BACKUP", func(s *control.Status) { s.VRRP.Instances[0].State = "BACKUP" }, "good", nil},
		{"FAULT", func(s *control.Status) { s.VRRP.Instances[0].State = "FAULT" }, "bad", []string{"bad outside is in FAULT: no advert from 192.0.2.2 for 3.6s"}},
		{"a gate", func(s *control.Status) { s.VRRP.Instances[1].HeldBack = "no answer" }, "bad", []string{"bad outside does not take over: no answer"}},
		{"an address", func(s *control.Status) { s.VRRP.Instances[0].Addresses[0].Installed = false }, "bad", []string{"bad outside is MASTER and lacks 1 of 1 addresses"}},
		{"alarms", func(s *control.Status) {
			s.VRRP.Alarms = []control.Alarm{{Instance: "a", Code: "foreign_vrid", Level: control.LevelWarning}, {Instance: "b", Code: "two_masters", Level: control.LevelAlarm}}
		}, "bad", []string{"bad b: two masters", "warn a: foreign vrid"}},
		{"a process", func(s *control.Status) { s.Processes[2].State = "respawn in 2s" }, "bad", []string{"bad checkers respawn in 2s"}},
		{"a virtual server", func(s *control.Status) { s.Checkers.Services[0].State = "down" }, "bad", []string{"bad 1 of 1 virtual servers down"}},
		{"a sorry server", func(s *control.Status) { s.Checkers.Services[0].State = "sorry" }, "warn", []string{"warn 1 of 1 virtual servers sorry"}},
		{"a real server", func(s *control.Status) { s.Checkers.Services[0].Servers[0].Health = "down" }, "warn", []string{"warn 1 real server down"}},
		{"a real server in maintenance", func(s *control.Status) {
			r := &s.Checkers.Services[0].Servers[0]
			r.Health, r.Override = "down", &control.Override{Order: control.VerbMaintain}
		}, "good", nil},
		{"the panic guard", func(s *control.Status) { s.Checkers.Services[0].PanicGuard = &control.PanicGuard{Blocking: true} }, "bad",
			[]string{"bad the panic guard of 1 virtual server keeps servers in service that are down"}},
		{"a check that cannot be made", func(s *control.Status) { s.Checkers.Services[0].NoVerdict = &control.NoVerdict{} }, "bad", []string{"bad checks of 1 virtual server cannot be made"}},
		{"a certificate", func(s *control.Status) { s.Checkers.Services[0].Expiring = &control.Expiring{} }, "warn", []string{"warn certificates of 1 virtual server end soon"}},
		{"a kernel call", func(s *control.Status) { s.Checkers.Failures = []control.Failure{{What: "x"}} }, "warn", []string{"warn failing now: 1 call of the kernel"}},
		{"a file", func(s *control.Status) {
			s.Checkers.Unwritten = []control.Failure{{What: "/x/y.json", Error: "no space left on device"}}
		}, "warn",
			[]string{"warn /x/y.json cannot be written: no space left on device"}},
		{"a reload", func(s *control.Status) { s.LastReload = &control.ReloadResult{Errors: []string{"director.toml:3: no"}} }, "warn",
			[]string{"warn the last reload was refused: director.toml:3: no"}},
		{"an SNMP agent", func(s *control.Status) {
			s.Processes = append(s.Processes, control.Process{Role: "snmp", State: "respawn in 2s", LastExit: "connection refused"})
		}, "warn", []string{"warn snmp respawn in 2s: connection refused"}},
		{"a priority", func(s *control.Status) { s.Processes[1].Unfit = "no real time" }, "warn", []string{"warn vrrp does not run as configured: no real time"}},
	} {
		t.Run(test.what, func(t *testing.T) {
			s := well()
			test.change(s)
			p := page(newView(s, nil, time.Now(), time.Second, 100), &history{}, question{})
			var got []string
			for _, b := range p.Problems {
				got = append(got, b.Level+" "+b.Text)
			}
			if p.Level != test.level {
				t.Errorf("level %s, want %s", p.Level, test.level)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMarks: what else there is to know of servers is shown beside their health.
func TestMarks(t *testing.T) {
	s := sample().Checkers.Services[0]
	s.Standby, s.ActiveWith, s.Installed = true, "outside", false
	s.PanicGuard = &control.PanicGuard{Threshold: 50, Blocking: true}
	s.Servers[0].Kept, s.Servers[0].RampUp = true, &control.RampUp{Weight: 3}
	s.Servers[0].EffectiveWeight = 10
	s.Leaving = []control.LeavingServer{{Name: "10.0.0.7:80", Active: 5}}
	got := serviceOf(&s, &history{}, false)
	all := strings.Join(got.Marks, "\n")
	for _, r := range got.Servers {
		all += "\n" + r.Name + ": " + r.Health + " " + strings.Join(r.Marks, ", ")
	}
	want := `standby: in the kernel's table while outside is MASTER
panic guard: servers that are down stay in service, less than 50 % would be left
10.0.0.1:80: up kept in service by the panic guard, ramps up, weight 3 of 10
10.0.0.2:80: down maintain, ordered by alice: new disk
10.0.0.7:80: leaving `
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
}
