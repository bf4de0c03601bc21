package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"director/internal/control"
)

// testIPVSNamespace runs director in one network namespace and has its table, its sync daemons and its timeouts in another one
// (ipvs_network_namespace): programming, a kill, a reload and the stop are all done there, and nothing here.
func testIPVSNamespace(t *testing.T) {
	f := newFarm(t, 2, 1)
	f.webServers(f.servers...)
	here, there := f.directors[0], f.directors[1]
	conf := func(servers string) string {
		return fmt.Sprintf(`
[global]
ipvs_network_namespace = %q
reconcile_interval = "1s"
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
check = { type = "tcp", interval = "500ms", rise = 1 }
real_server = [%s]
[ipvs_sync]
interface = "eth1"
sync_id = 7
[ipvs_timeouts]
tcp_fin = "31s"
`, there.Namespace(), servers)
	}
	const service, first = "-A -t 192.0.2.80:80 -s rr\n", "-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 1"
	holds := func(when, table string, running bool) {
		t.Helper()
		wantTable(t, there, table)
		wantTable(t, here, "")
		for _, look := range []struct{ option, text string }{{"--timeout", " 31 "}, {"--daemon", "master sync daemon (mcast=eth1, syncid=7"}, {"--daemon", "backup sync daemon (mcast=eth1, syncid=7"}} {
			out, err := there.Run("ipvsadm", "-L", look.option)
			f.Must(err)
			if strings.Contains(out, look.text) != running {
				t.Errorf("%s: %s in the other namespace, %q there should be %v:\n%s", when, look.option, look.text, running, out)
			}
			out, err = here.Run("ipvsadm", "-L", look.option)
			f.Must(err)
			if strings.Contains(out, look.text) {
				t.Errorf("%s: %s in director's own namespace:\n%s", when, look.option, out)
			}
		}
	}
	d := startDirector(t, here, conf(`"10.0.0.11"`))
	d.WaitServers() // checks go out from director's own namespace
	holds("programmed", service+first, true)

	// A new checker process takes over what its predecessor left there.
	var before int
	d.waitFor(patience, "the checkers run", func(s control.Status) error {
		for _, p := range s.Processes {
			if p.Role == "checkers" && p.State == "running" {
				before = p.PID
				return nil
			}
		}
		return fmt.Errorf("processes %+v", s.Processes)
	})
	f.Must(syscall.Kill(before, syscall.SIGKILL))
	d.waitFor(patience, "the checkers run again", func(s control.Status) error {
		for _, p := range s.Processes {
			if p.Role == "checkers" && p.State == "running" && p.PID != before {
				return nil
			}
		}
		return fmt.Errorf("processes %+v", s.Processes)
	})
	holds("after a kill", service+first, true)
	if _, err := there.Run("ipvsadm", "--stop-daemon", "backup"); err != nil {
		t.Fatal(err)
	}
	f.Eventually(patience, "the sync daemon is put right", func() error {
		out, err := there.Run("ipvsadm", "-L", "--daemon")
		if err == nil && !strings.Contains(out, "backup sync daemon") {
			err = fmt.Errorf("there is %q", out)
		}
		return err
	})
	f.Must(d.Reload(conf(`{ address = "10.0.0.11", weight = 3 }`)))
	wantTable(t, there, service+"-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 3")

	d.Stop()
	holds("after the stop", "", false)
}
