package test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
)

// A rivalry is director on one host and Debian's keepalived on another, with the same configuration in keepalived's language but
// for the virtual address. Nothing is shared but the servers, which answer the clients directly.
type rivalry struct {
	*farm
	ours   *director
	theirs *netlab.Process
}

// The virtual addresses of the two, on their own interfaces: there is no VRRP.
const (
	ourVIP   = "192.0.2.80"
	theirVIP = "192.0.2.90"
)

// newRivalry makes the hosts and servers and starts nothing.
func newRivalry(t *testing.T, servers int) *rivalry {
	r := &rivalry{farm: newFarm(t, 2, 0)}
	r.outsideServers(servers)
	for i, vip := range []string{ourVIP, theirVIP} {
		p := netip.MustParsePrefix(vip + "/32")
		r.Must(r.directors[i].AddAddr("eth0", p))
		for _, s := range r.servers {
			r.Must(s.AddAddr("lo", p))
		}
	}
	return r
}

// startTheirs starts keepalived on its host. The log is the parent's and the children's.
func (r *rivalry) startTheirs(conf string) {
	r.t.Helper()
	var err error
	r.theirs, err = r.directors[1].Keepalived(conf)
	r.Must(err)
}

// theirChecker is the number of keepalived's checker child, 0 while it has none.
func (r *rivalry) theirChecker() int {
	pid := 0
	text, _ := os.ReadFile(r.directors[1].Path("keepalived-checkers.pid"))
	_, _ = fmt.Sscan(string(text), &pid)
	return pid
}

// webOf is the configuration of a virtual server at an address with servers 192.0.2.11, .12, ..., all checked as by default.
func webOf(vip string, servers int) string {
	text := fmt.Sprintf("virtual_server %s 80 {\n  delay_loop 1\n  lb_algo rr\n  lb_kind DR\n  protocol TCP\n", vip)
	for i := range servers {
		text += fmt.Sprintf("  real_server 192.0.2.%d 80 {\n    TCP_CHECK { connect_timeout 2 }\n  }\n", i+11)
	}
	return text + "}\n"
}

// directTable is its table with the servers of these last numbers.
func directTable(vip string, numbers ...int) string {
	text := fmt.Sprintf("-A -t %s:80 -s rr\n", vip)
	for _, n := range numbers {
		text += fmt.Sprintf("-a -t %s:80 -r 192.0.2.%d:80 -g -w 1\n", vip, n)
	}
	return text
}

// back returns the tables that a watch has seen in which the third server is.
func back(w *tableWatch) (found []string) {
	changes, _ := w.Changes()
	for _, text := range changes {
		if strings.Contains(text, "-r 192.0.2.13:80") {
			found = append(found, text)
		}
	}
	return found
}

// testRivals has the third of three servers dead from the start and a long transfer through each of the two, kills the checker child of each, then
// the parent, and starts them again. keepalived puts the dead server back into service each time, and takes its whole table down when its
// parent dies, and the transfer with it; director does nothing of the kind.
func testRivals(t *testing.T) {
	r := newRivalry(t, 3)
	r.webServers(r.servers[:2]...)
	r.startTheirs(webOf(theirVIP, 3))
	r.ours = startWithConf(t, r.directors[0], webOf(ourVIP, 3))
	name := r.ours.Status().Checkers.Services[0].Name
	dead := r.ours.WaitServer(name, "192.0.2.13:80", "down")
	both := func() {
		t.Helper()
		waitTable(t, r.directors[0], directTable(ourVIP, 11, 12))
		waitTable(t, r.directors[1], directTable(theirVIP, 11, 12))
	}
	both()
	askedAgain := func() {
		t.Helper()
		from := uint64(0)
		r.ours.waitService(name, "the dead server is asked again", func(v control.Service) error {
			s, err := serverOf(v, dead.Name)
			if err != nil {
				return err
			}
			n := s.Checks[0].Failed
			if from == 0 {
				from = n + 2
			}
			if n < from {
				return fmt.Errorf("%d answers, want %d", n, from)
			}
			return nil
		})
	}
	our, err := r.client.LongTransfer(t.Context(), "http://"+ourVIP+"/stream")
	r.Must(err)
	defer our.Stop()
	their, err := r.client.LongTransfer(t.Context(), "http://"+theirVIP+"/stream")
	r.Must(err)
	defer their.Stop()
	ourTable, theirTable := watchTable(t, r.directors[0]), watchTable(t, r.directors[1])
	unharmed := func(t *testing.T) {
		t.Helper()
		if changes, looks := ourTable.Changes(); len(changes) > 0 || looks == 0 {
			t.Errorf("director's table changed: %s", strings.Join(changes, "\n"))
		}
		before := our.Bytes()
		r.Within(patience, "the transfer through director goes on", func() bool { return our.Bytes() > before || our.Err() != nil })
		if err := our.Err(); err != nil {
			t.Errorf("the transfer through director broke: %v", err)
		}
	}

	t.Run("checker child killed", func(t *testing.T) {
		pid := r.theirChecker()
		began := time.Now()
		r.Must(syscall.Kill(pid, syscall.SIGKILL))
		r.ours.WaitRespawn("checkers", r.ours.Kill("checkers"), patience)
		r.Within(patience, "keepalived serves with the dead server", func() bool { return len(back(theirTable)) > 0 })
		t.Logf("keepalived has the dead server in service %v after the kill", time.Since(began).Round(time.Millisecond))
		both()
		t.Logf("and takes it out again after %v", time.Since(began).Round(time.Millisecond))
		askedAgain()
		unharmed(t)
		if err := their.Err(); err != nil {
			t.Errorf("the transfer through keepalived broke: %v", err)
		}
	})
	t.Run("parent killed", func(t *testing.T) {
		r.theirs.Kill()
		r.ours.Kill("parent")
		waitTable(t, r.directors[1], "")
		r.Within(patience, "the transfer through keepalived breaks", func() bool { return their.Err() != nil })
		t.Logf("keepalived's table is empty; the transfer through it: %v", their.Err())
		r.Eventually(patience, "no process is left", func() error {
			for _, h := range r.directors {
				if left := h.Processes(); len(left) > 0 {
					return fmt.Errorf("%s: %v", h.Name(), left)
				}
			}
			return nil
		})
		unharmed(t)
		theirTable.Stop()
		theirTable = watchTable(t, r.directors[1])
		log := len(r.ours.Log())
		r.ours = r.ours.Again()
		r.startTheirs(webOf(theirVIP, 3))
		r.ours.waitLog(log, 1, "kernel_changes=0")
		r.Within(patience, "keepalived serves with the dead server", func() bool { return len(back(theirTable)) > 0 })
		both()
		askedAgain()
		unharmed(t)
	})
	t.Run("stopped and started", func(t *testing.T) {
		our.Stop()
		r.ours.Stop()
		r.Must(r.theirs.Stop(patience))
		ourTable.Stop()
		theirTable.Stop()
		wantTable(t, r.directors[0], "")
		ourTable, theirTable = watchTable(t, r.directors[0]), watchTable(t, r.directors[1])
		// director's own language, whose defaults keep a server out that has not been heard.
		r.ours = startDirector(t, r.directors[0], `
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
forwarding = "dr"
check = { type = "tcp", interval = "1s" }
real_server = ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
`)
		r.startTheirs(webOf(theirVIP, 3))
		r.Within(patience, "keepalived serves with the dead server", func() bool { return len(back(theirTable)) > 0 })
		both()
		r.ours.WaitServer("web", "192.0.2.13:80", "down")
		if found := back(ourTable); len(found) > 0 {
			t.Errorf("director serves with the dead server: %s", strings.Join(found, "\n"))
		}
	})
}
