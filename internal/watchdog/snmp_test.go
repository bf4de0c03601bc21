package watchdog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
)

// fakeSNMP is an SNMP process that says a word to the agent and writes down what it is told. Files in its directory change it:
//
//	snmp.refused  ends because the agent refuses it
func fakeSNMP(dir string) Work {
	f := &fakeChild{role: RoleSNMP, dir: dir}
	return func(_ context.Context, _ *Settings, feed *Feed, sockets []*os.File) error {
		if _, ok := f.is("refused"); ok {
			return fmt.Errorf("%w: as told", MasterRefused)
		}
		conn, err := net.FileConn(sockets[0])
		if err != nil {
			return err
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			return err
		}
		gone := make(chan error, 1)
		go func() {
			io.Copy(io.Discard, conn)
			gone <- MasterGone
		}()
		go func() {
			for {
				n, err := feed.Next()
				if err != nil {
					gone <- err
					return
				}
				if c := n.Config; c != nil {
					f.note("config of %d instances, password hidden %v", len(c.Instances), c.Notify.Mail != nil && c.Notify.Mail.Password != "geheim")
				}
				if len(n.Events) > 0 {
					f.note("events")
				}
				if n.Status != nil {
					f.note("status")
				}
			}
		}()
		if err := <-gone; !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	}
}

// withSNMP is a configuration with an SNMP process.
func withSNMP(d *daemon, socket string) *config.Config {
	c := withWeb(d)
	c.Web = nil
	c.Notify.Mail = &config.Mail{Server: "127.0.0.1:1", To: []string{"a@b"}, Password: "geheim"}
	second := config.Duration(time.Second)
	c.SNMP = &config.SNMPAgent{Socket: filepath.Join(d.dir, socket), User: "nobody", Timeout: second, RetryInterval: second, UpdateInterval: second / 10}
	return c
}

// agent listens at a socket and returns the next connection that has said hello.
type agent struct {
	d *daemon
	l net.Listener
}

func (d *daemon) agent(socket string) *agent {
	d.t.Helper()
	l, err := net.Listen("unix", filepath.Join(d.dir, socket))
	if err != nil {
		d.t.Fatal(err)
	}
	// Nobody but root may connect, which is the agent's default.
	if err := os.Chmod(filepath.Join(d.dir, socket), 0o700); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { l.Close() })
	return &agent{d, l}
}

func (a *agent) accept() net.Conn {
	a.d.t.Helper()
	a.l.(*net.UnixListener).SetDeadline(time.Now().Add(20 * time.Second))
	c, err := a.l.Accept()
	if err != nil {
		a.d.t.Fatal(err)
	}
	a.d.t.Cleanup(func() { c.Close() })
	hello := make([]byte, 5)
	if _, err := io.ReadFull(c, hello); err != nil || string(hello) != "hello" {
		a.d.t.Fatalf("%q %v", hello, err)
	}
	return c
}

func TestSNMPProcess(t *testing.T) {
	d := prepare(t)
	d.configure(withSNMP(d, "agentx"))
	d.start()
	// Without an agent there is no process, and status says why.
	d.says("the snmp process cannot be started")
	d.says("director is ready")
	d.eventually("status tells why", func() bool {
		p := d.process(RoleSNMP)
		return p.PID == 0 && strings.Contains(p.LastExit, "no such file") && strings.HasPrefix(p.State, "respawn in ")
	})

	a := d.agent("agentx")
	conn := a.accept()
	d.await("snmp config of 1 instances, password hidden true", 1)
	d.await("snmp status", 2)
	d.eventually("it runs, connected", func() bool {
		p := d.process(RoleSNMP)
		return p.State == "running" && len(p.Connected) == 1 && p.Restarts == 0 && p.LastExit == ""
	})
	vrrp := d.process(RoleVRRP).PID

	// The agent closes the connection: that is no fault of the process.
	conn.Close()
	d.says("to=disconnected reason=\"the SNMP agent has closed the connection\"")
	conn = a.accept()
	d.eventually("it is there again", func() bool { p := d.process(RoleSNMP); return p.State == "running" && p.Restarts == 0 })

	// It is killed, which counts.
	if err := syscall.Kill(d.process(RoleSNMP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	a.accept()
	d.eventually("it was started again", func() bool { p := d.process(RoleSNMP); return p.State == "running" && p.Restarts == 1 })

	// A reload that changes nothing of its table is told; one that does starts it anew.
	pid := d.process(RoleSNMP).PID
	c := withSNMP(d, "agentx")
	c.Instances = append(c.Instances, config.Instance{Name: "more"})
	d.configure(c)
	if r := d.reload(); !r.OK {
		t.Fatal(r.Errors)
	}
	d.await("snmp config of 2 instances, password hidden true", 1)
	if d.process(RoleSNMP).PID != pid {
		t.Error("a reload that does not concern it started it anew")
	}
	b := d.agent("other")
	d.configure(withSNMP(d, "other"))
	if r := d.reload(); !r.OK {
		t.Fatal(r.Errors)
	}
	b.accept()
	d.eventually("it runs anew", func() bool { p := d.process(RoleSNMP); return p.State == "running" && p.PID != pid })

	// An agent that refuses it is asked again and again.
	d.file("snmp.refused", "")
	if err := syscall.Kill(d.process(RoleSNMP).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.eventually("status tells of the refusal", func() bool { return strings.Contains(d.process(RoleSNMP).LastExit, "refuses the session") })
	if d.process(RoleVRRP).PID != vrrp {
		t.Error("what happened to the SNMP process touched another")
	}
	if strings.Contains(d.log(), "snmp events") {
		t.Error("it is told events, which it has no use for")
	}
	c = withSNMP(d, "other")
	c.SNMP = nil
	d.configure(c)
	if r := d.reload(); !r.OK {
		t.Fatal(r.Errors)
	}
	for _, p := range d.status().Processes {
		if p.Role == string(RoleSNMP) {
			t.Errorf("without its table there is one: %+v", p)
		}
	}
}

func TestDepartures(t *testing.T) {
	for d := MasterGone; d <= MasterGarbled; d++ {
		if !d.known() || d.Error() == Departure(1).Error() {
			t.Errorf("departure %d has no name", d)
		}
	}
	if Departure(0).known() || Departure(1).known() || Departure(exitFinal).known() {
		t.Error("an exit status of other ends is taken for a departure")
	}
}

func TestObserverDelay(t *testing.T) {
	o := &observer{terms: terms{patience: 15 * time.Second}}
	var got []time.Duration
	for range 9 {
		got = append(got, o.delay(0)/time.Second)
	}
	if diff := cmp.Diff([]time.Duration{1, 1, 1, 1, 2, 4, 8, 15, 15}, got); diff != "" {
		t.Error(diff)
	}
	if d := o.delay(2 * settled); d != time.Second {
		t.Errorf("%v after a long life", d)
	}
}
