package test

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"director/internal/netlab"
)

// A migration is a pair of hosts that goes from keepalived to director and back, one host at a time, while a client asks for a page at the
// virtual address. Both programs read the same file. A has the higher priority.
type migration struct {
	*pair
	conf func(host *netlab.Host) string
	// masterDown is how long a backup waits for adverts, or a little more.
	masterDown time.Duration
	load       *netlab.Load
	k          map[*netlab.Host]*netlab.Process // keepalived, where it runs
	d          map[*netlab.Host]*director       // director, where it runs
}

const (
	// requestLimit is how long the client waits for an answer: as long as a busy machine may need, and less than it takes until
	// a lost packet is sent again.
	requestLimit  = 900 * time.Millisecond
	requestPeriod = 10 * time.Millisecond
	// busy is how many requests more a busy machine may lose.
	busy = 50
)

// A pair changes from keepalived to director under load, one host at a time, the backup first or the master first, and back. At no time
// there are two masters, and a host that is changed costs no more answers than keepalived's own restart.
func TestMigration(t *testing.T) {
	t.Parallel()
	password := func(prio, _, _ int) string {
		return keepalived("VI_1", 2, 51, prio, "1", "192.0.2.100/24", "authentication { auth_type PASS", "auth_pass s3cret", "}")
	}
	unicast := func(prio, self, peer int) string {
		return keepalived("VI_1", 3, 51, prio, keepalivedFast, "192.0.2.100/24",
			fmt.Sprintf("unicast_src_ip 192.0.2.%d", self), fmt.Sprintf("unicast_peer { 192.0.2.%d", peer), "}")
	}
	for _, tc := range []struct {
		name       string
		conf       func(prio, self, peer int) string
		masterDown time.Duration
	}{{"version 2, password", password, 3700 * time.Millisecond}, {"version 3, unicast", unicast, 4 * fastInterval}} {
		for _, masterFirst := range []bool{false, true} {
			t.Run(tc.name+map[bool]string{false: ", backup first", true: ", master first"}[masterFirst], func(t *testing.T) {
				t.Parallel()
				m := &migration{pair: newPair(t), masterDown: tc.masterDown, k: map[*netlab.Host]*netlab.Process{}, d: map[*netlab.Host]*director{}}
				m.conf = func(h *netlab.Host) string {
					if h == m.a {
						return tc.conf(150, 1, 2)
					}
					return tc.conf(100, 2, 1)
				}
				m.play(masterFirst)
			})
		}
	}
}

func (m *migration) play(masterFirst bool) {
	for _, h := range []*netlab.Host{m.a, m.b} {
		w, err := h.WebServer(netip.MustParseAddrPort("0.0.0.0:80"), h.Name())
		m.Must(err)
		m.t.Cleanup(w.Close)
		m.keepalived(h)
	}
	m.settled()
	watched, stopWatch := time.Now(), m.watch()
	m.load = m.client.LoadHTTP(m.t.Context(), "http://192.0.2.100/", requestPeriod, requestLimit)
	defer m.load.Stop()
	m.Must(m.load.AwaitOK(patience, 50))

	usual := m.replace("keepalived is restarted on", m.a, m.keepalived)
	order := []*netlab.Host{m.b, m.a}
	if masterFirst {
		order = []*netlab.Host{m.a, m.b}
	}
	for _, step := range []struct {
		what  string
		start func(*netlab.Host)
	}{{"director comes on", m.director}, {"keepalived comes back on", m.keepalived}} {
		for _, h := range order {
			began := time.Now()
			lost := m.replace(step.what, h, step.start)
			if lost > usual+busy+int(stood(began)/requestPeriod) {
				m.t.Errorf("%s %s: %d answers lost; a restart of keepalived costs %d", step.what, h.Name(), lost, usual)
			}
		}
	}
	m.noDoubleMaster(51, 100*time.Millisecond)
	if both := stopWatch(); both > 300*time.Millisecond+stood(watched) {
		m.t.Errorf("both hosts had the address for %v", both)
	}
}

// replace ends what runs on a host, starts the other program, and returns how many requests were lost until A has the address again.
func (m *migration) replace(what string, h *netlab.Host, start func(*netlab.Host)) int {
	m.t.Helper()
	began := time.Now()
	if d := m.d[h]; d != nil {
		d.Stop()
	} else {
		m.Must(m.k[h].Stop(patience))
	}
	delete(m.d, h)
	delete(m.k, h)
	if h == m.a {
		m.Within(patience, "B has the address", func() bool { return m.b.HasAddr(vip) })
	}
	start(h)
	m.settled()
	m.Must(m.load.AwaitOK(patience, 50))
	if h == m.b {
		m.Holds(m.masterDown, "B hears A", func() bool { return m.a.HasAddr(vip) && !m.b.HasAddr(vip) })
	}
	time.Sleep(requestLimit) // what is under way has failed by then
	s := m.load.Since(began)
	m.t.Logf("%s %s: %v", what, h.Name(), s)
	return s.Failed
}

// settled waits until A has the address alone.
func (m *migration) settled() {
	m.t.Helper()
	m.onlyOn(m.a, vip, patience)
	if d := m.d[m.b]; d != nil {
		d.WaitInstance("VI_1", "BACKUP", patience)
	}
}

func (m *migration) keepalived(h *netlab.Host) {
	m.t.Helper()
	k, err := h.Keepalived(m.conf(h))
	m.Must(err)
	m.k[h] = k
}

func (m *migration) director(h *netlab.Host) {
	m.t.Helper()
	m.d[h] = startWithConf(m.t, h, m.conf(h))
}

// watch looks again and again who has the address. The function that it returns ends that and tells how long both hosts had it at most.
func (m *migration) watch() (end func() time.Duration) {
	ctx, cancel := context.WithCancel(m.t.Context())
	var longest time.Duration
	var done sync.WaitGroup
	done.Go(func() {
		var since time.Time
		for ctx.Err() == nil {
			if !m.a.HasAddr(vip) || !m.b.HasAddr(vip) {
				since = time.Time{}
			} else if since.IsZero() {
				since = time.Now()
			} else {
				longest = max(longest, time.Since(since))
			}
			select {
			case <-time.After(5 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	return func() time.Duration {
		cancel()
		done.Wait()
		return longest
	}
}
