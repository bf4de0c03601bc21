package test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
)

// A knocker opens connections to an address one after another and closes them at once.
type knocker struct {
	stop func()

	mu      sync.Mutex
	opened  int
	refused []time.Time // answered by a reset, or as if nobody were there
	others  []error
}

func knock(t *testing.T, h *netlab.Host, address string) *knocker {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	k, done := &knocker{}, make(chan struct{})
	k.stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(k.stop)
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
			c, err := h.DialContext(ctx, "tcp", address)
			k.mu.Lock()
			switch {
			case err == nil:
				k.opened++
				c.Close()
			case ctx.Err() != nil:
			case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
				k.refused = append(k.refused, time.Now())
			default:
				k.others = append(k.others, err)
			}
			k.mu.Unlock()
		}
	}()
	return k
}

// result returns how many connections were opened since the last time, and when one was refused.
func (k *knocker) result() (opened int, refused []time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	opened, refused = k.opened, k.refused
	k.opened, k.refused = 0, nil
	return opened, refused
}

// gateEvents are the events about promotion gates and addresses that went up too early.
func (d *director) gateEvents() string {
	d.t.Helper()
	out, err := d.CLI("events", "--kind", "gate")
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// testOrder has two directors take the virtual address from each other, while the virtual server is in the table of the master alone. The table is
// there before the address and goes after it: no new connection is refused and an old one goes on. It ends with either of them as master.
func testOrder(t *testing.T, f *farm, conf string, master, backup *director) {
	for _, d := range []*director{master, backup} {
		f.Must(d.Reload(conf))
	}
	f.Eventually(patience, "there is a master", func() error {
		if backup.Instance("outside").State == "MASTER" {
			master, backup = backup, master
		}
		if a, b := master.Instance("outside").State, backup.Instance("outside").State; a != "MASTER" || b != "BACKUP" {
			return fmt.Errorf("%s is %s, %s is %s", master.host.Name(), a, backup.host.Name(), b)
		}
		return nil
	})
	for _, d := range []*director{master, backup} {
		d.waitService("web", "the servers are up", func(v control.Service) error {
			for _, s := range v.Servers {
				if s.Health != "up" {
					return fmt.Errorf("%s is %s", s.Name, s.Health)
				}
			}
			return nil
		})
	}
	waitTable(t, backup.host, "")
	var transfer *netlab.Transfer
	begin := func() {
		var err error
		transfer, err = f.client.LongTransfer(t.Context(), farmURL+"stream")
		f.Must(err)
	}
	begin()
	defer func() { transfer.Stop() }()
	// take has the backup take over, and returns how long its address took from then on.
	take := func(t *testing.T) time.Duration {
		t.Helper()
		addresses := watchAddresses(t, backup.host, outsideVIP)
		f.must(backup.CLI("vrrp", "prefer", "outside"))
		i := backup.WaitInstance("outside", "MASTER", patience)
		var up time.Time
		f.Within(patience, "the address is up", func() bool {
			for _, e := range addresses.Events() {
				if e.Added {
					up = e.Time
				}
			}
			return !up.IsZero()
		})
		f.must(backup.CLI("vrrp", "auto", "outside")) // it stays: nopreempt
		master.WaitInstance("outside", "BACKUP", patience)
		master, backup = backup, master
		return up.Sub(i.Since)
	}
	goesOn := func(t *testing.T) {
		t.Helper()
		before := transfer.Bytes()
		f.Within(patience, "the transfer goes on", func() bool { return transfer.Bytes() > before+100 || transfer.Err() != nil })
		if err := transfer.Err(); err != nil {
			t.Fatalf("the transfer broke: %v", err)
		}
	}

	slow := 0
	door := knock(t, f.client, outsideVIP+":80")
	for good := 0; good < 4; {
		f.Within(patience, backup.host.Name()+" has learned of the transfer", func() bool { return established(t, backup.host, transfer.Local()) })
		waitTable(t, backup.host, "")
		door.result()
		took := take(t)
		if why := master.Instance("outside").Reason; strings.Contains(why, unready) {
			if slow++; slow > 4 {
				t.Fatalf("the table is never written within a second: %s", why)
			}
			t.Logf("this machine was too busy for a table within a second: %s", why)
			waitTable(t, master.host, orderTable)
			transfer.Stop()
			begin()
			continue
		}
		good++
		goesOn(t)
		opened, refused := door.result()
		t.Logf("takeover %d: the address was up %v after the first advert; %d connections opened, %d refused", good, took.Round(100*time.Microsecond), opened, len(refused))
		if len(refused) > 0 || opened == 0 {
			t.Errorf("takeover %d: %d connections opened, refused at %v", good, opened, refused)
		}
	}
	t.Logf("longest stall %v", transfer.LongestStall())
	door.stop()
	transfer.Stop()

	t.Run("checker process hangs", func(t *testing.T) {
		pid := backup.SignalRole("checkers", syscall.SIGSTOP)
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }() // if it is still there
		took := take(t)
		i := master.Instance("outside")
		t.Logf("the address was up after %v: %s", took.Round(time.Millisecond), i.Reason)
		if took < 900*time.Millisecond || took > patience/2 || !strings.HasSuffix(i.Reason, unready+"no word of it within 1s") {
			t.Errorf("the address was up after %v: %s", took, i.Reason)
		}
		if text := master.gateEvents(); !strings.Contains(text, "preparing") || !strings.Contains(text, "unready") {
			t.Errorf("events\n%s", text)
		}
		master.WaitRespawn("checkers", pid, patience)
		waitTable(t, master.host, orderTable)
	})
	t.Run("checker process dies", func(t *testing.T) {
		pid := backup.Kill("checkers")
		took := take(t)
		t.Logf("the address was up after %v: %s", took.Round(time.Millisecond), master.Instance("outside").Reason)
		if took > patience/2 {
			t.Errorf("the address was up after %v", took)
		}
		master.WaitRespawn("checkers", pid, patience)
		waitTable(t, master.host, orderTable)
	})
}

// unready is how the reason of a takeover ends whose addresses could not wait.
const unready = "the addresses went up before what is behind them was ready: "

// orderTable is the table of a master.
const orderTable = "-A -t 192.0.2.80:80 -s rr\n-a -t 192.0.2.80:80 -r 192.0.2.11:80 -g -w 1\n-a -t 192.0.2.80:80 -r 192.0.2.12:80 -g -w 1\n"
