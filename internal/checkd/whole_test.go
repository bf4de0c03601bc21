package checkd

import (
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/watchdog"
	"director/ipvs"
)

const syncConfig = `
[ipvs_sync]
interface = "eth1"
sync_id = 7
[ipvs_timeouts]
tcp_fin = "30s"
[virtual_server.web]
address = "192.0.2.1:80"
real_server = ["10.0.0.1"]
`

// following is the same with an instance to follow.
var following = strings.Replace(syncConfig, "sync_id = 7", "vrrp_instance = \"web\"", 1) + `
[vrrp_instance.web]
interface = "eth0"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.1/24"]
`

const (
	startMaster = "--start-daemon master --mcast-interface eth1 --syncid 7 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1"
	startBackup = "--start-daemon backup --mcast-interface eth1 --syncid 7 --mcast-group 224.0.0.81 --mcast-port 8848 --mcast-ttl 1"
)

// did checks what was done to the sync daemons since the last time.
func (w *world) did(want ...string) {
	w.t.Helper()
	if got, want := strings.TrimSpace(w.kernel.SyncLog()), strings.Join(want, "\n"); got != want {
		w.t.Errorf("sync operations\n%s\nwant\n%s", got, want)
	}
}

func (w *world) timeouts(tcp, fin, udp time.Duration) {
	w.t.Helper()
	w.kernel.Reopen()
	if got, err := w.kernel.Timeouts(); err != nil || got != (ipvs.Timeouts{TCP: tcp, TCPFin: fin, UDP: udp}) {
		w.t.Errorf("timeouts %+v, %v", got, err)
	}
}

func TestSyncDaemonsAndTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		if err := w.kernel.SetTimeouts(ipvs.Timeouts{TCPFin: time.Minute}); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.configure(parsed(t, syncConfig))
		w.did(startMaster, startBackup)
		w.timeouts(15*time.Minute, 30*time.Second, 5*time.Minute)
		w.kernel.SetSyncStats(ipvs.SyncStats{Learned: 3, Own: 4, Dropped: 5})
		s := w.inquire().Sync
		if s == nil || len(s.Daemons) != 2 || !s.Daemons[0].Running || !s.Daemons[1].Running || s.Learned != 3 || s.Own != 4 || s.Dropped != 5 {
			t.Errorf("status %+v", s)
		}
		// Another daemon adopts them, and knows what the timeouts were.
		w.kill()
		w.run()
		w.configure(parsed(t, syncConfig))
		w.did("")
		// Somebody stops one, and changes the timeouts.
		w.events()
		if err := w.kernel.SyncByHand(ipvs.SyncOp{Daemon: ipvs.SyncDaemon{Role: ipvs.SyncBackup}}); err != nil {
			t.Fatal(err)
		}
		if err := w.kernel.SetTimeouts(ipvs.Timeouts{TCPFin: time.Hour}); err != nil {
			t.Fatal(err)
		}
		w.pass(w.daemon.table.interval)
		w.did(startBackup)
		w.timeouts(15*time.Minute, 30*time.Second, 5*time.Minute)
		if got := w.events(); got != "sync daemon backup missing>repaired" {
			t.Errorf("events %s", got)
		}
		// Other settings: stopped and started. The timeouts by default: as they were.
		text := strings.Replace(syncConfig, "sync_id = 7", "sync_id = 8", 1)
		w.configure(parsed(t, strings.Replace(text, "[ipvs_timeouts]\ntcp_fin = \"30s\"", "", 1)))
		w.did("--stop-daemon master", "--stop-daemon backup", strings.Replace(startMaster, "7", "8", 1), strings.Replace(startBackup, "7", "8", 1))
		w.timeouts(15*time.Minute, time.Minute, 5*time.Minute)
		w.configure(parsed(t, syncConfig))
		w.kernel.SyncLog()
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		w.did("--stop-daemon master", "--stop-daemon backup")
		w.timeouts(15*time.Minute, time.Minute, 5*time.Minute)
		if OwnsServices(w.dir) {
			t.Error("a record stays after the stop")
		}
	})
}

// A file without [ipvs_sync] leaves no record of it behind: a later start would take
// the daemons of others for its own.
func TestSyncDroppedFromTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		alone := *parsed(t, syncConfig)
		alone.IPVSTimeouts = nil
		w.configure(&alone)
		w.did(startMaster, startBackup)
		w.configure(&config.Config{})
		w.did("--stop-daemon master", "--stop-daemon backup")
		if OwnsServices(w.dir) {
			t.Error("a record stays")
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSyncLeavesStrangersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		backup := ipvs.SyncDaemon{Role: ipvs.SyncBackup, Interface: "eth9"}
		if err := w.kernel.SyncByHand(ipvs.SyncOp{Start: true, Daemon: backup}); err != nil {
			t.Fatal(err)
		}
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(2 * w.daemon.table.interval)
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		w.did("")
	})
}

func TestSyncFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		master, backup := strings.Replace(startMaster, "syncid 7", "syncid 51", 1), strings.Replace(startBackup, "syncid 7", "syncid 51", 1)
		w.configure(parsed(t, following))
		w.did(backup)
		role := func(state string) {
			w.parent.down <- watchdog.Message{Roles: &watchdog.Roles{States: map[string]string{"web": state}}}
			synctest.Wait()
		}
		role("BACKUP")
		w.did("")
		role("MASTER")
		w.did("--stop-daemon backup", master)
		role("MASTER")
		w.configure(parsed(t, following)) // a reload keeps the role
		w.did("")
		role("INIT") // a new VRRP child, which is going to say
		w.did("")
		role("FAULT")
		w.did("--stop-daemon master", backup)
		if s := w.inquire().Sync; s.Follows != "web" || len(s.Daemons) != 1 || s.Daemons[0].Role != "backup" || !s.Daemons[0].Running {
			t.Errorf("status %+v", s)
		}
		// The configuration names none any more: what is ours goes.
		w.configure(configOf("web: a1"))
		w.did("--stop-daemon backup")
		w.kill()
	})
}

// What is known of the instance holds when the table goes and comes back, and when it
// names an instance that a virtual server follows already. What is not known changes
// nothing: a new process leaves its predecessor's daemon, and INIT is no word.
func TestSyncKeepsItsRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		master, backup := strings.Replace(startMaster, "syncid 7", "syncid 51", 1), strings.Replace(startBackup, "syncid 7", "syncid 51", 1)
		role := func(states map[string]string) {
			w.parent.down <- watchdog.Message{Roles: &watchdog.Roles{States: states}}
			synctest.Wait()
		}
		is := func(state string) { role(map[string]string{"web": state}) }
		without := *parsed(t, following)
		without.IPVSSync = nil
		without.VirtualServers = slices.Clone(without.VirtualServers)
		without.VirtualServers[0].ActiveWith = "web"
		is("MASTER") // before the first configuration
		w.configure(&without)
		w.did("")
		w.configure(parsed(t, following))
		w.did(master)
		w.configure(&without)
		w.did("--stop-daemon master")
		if c := w.plan(parsed(t, following)); len(c.IPVS) == 0 || !strings.Contains(strings.Join(c.IPVS, "\n"), "master") {
			t.Errorf("planned %q", c.IPVS)
		}
		w.configure(parsed(t, following))
		w.did(master)

		for _, state := range []string{"INIT", "STOP"} {
			is(state)
			w.did("")
		}
		w.kill()
		w.run()
		w.configure(parsed(t, following))
		w.did("")
		is("INIT")
		w.did("")
		if s := w.inquire().Sync; len(s.Daemons) != 1 || s.Daemons[0].Role != "master" || !s.Daemons[0].Running {
			t.Errorf("status %+v", s)
		}
		is("BACKUP")
		w.did("--stop-daemon master", backup)
		w.kill()
		w.run()
		is("MASTER") // changed meanwhile
		w.configure(parsed(t, following))
		w.did("--stop-daemon backup", master)

		// What was told once may be true no more when it is followed again.
		w.configure(configOf("web: a1"))
		role(map[string]string{})
		w.did("--stop-daemon master")
		w.configure(parsed(t, following))
		w.did(backup)
		w.kill()
	})
}

// Who is master is known before sync asks for it: the parent, which has told it for a service, does not tell it again.
func TestSyncFollowsWhoIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1"))
		w.parent.down <- watchdog.Message{Roles: &watchdog.Roles{States: map[string]string{"web": "MASTER"}}}
		synctest.Wait()
		w.did("")
		w.configure(parsed(t, following))
		w.did(strings.Replace(startMaster, "syncid 7", "syncid 51", 1))
		w.kill()
	})
}

// A failure is recorded, tried again with back-off and ends with success.
func TestSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		var repaired atomic.Bool
		var tries atomic.Int32
		w.kernel.OnSync = func(op ipvs.SyncOp) error {
			tries.Add(1)
			if !repaired.Load() && op.Daemon.Role == ipvs.SyncMaster {
				return syscall.ENODEV
			}
			return nil
		}
		w.run()
		w.configure(parsed(t, syncConfig))
		w.acks(1)
		f := w.inquire()
		if len(f.Failures) != 1 || f.Failures[0].What != "sync daemon master" || !strings.Contains(f.Failures[0].Error, "no such device") {
			t.Errorf("failures %+v", f.Failures)
		}
		if d := f.Sync.Daemons; d[0].Running || !d[1].Running {
			t.Errorf("status %+v", d)
		}
		w.pass(5 * time.Minute)
		if n := tries.Load(); n < 5 || n > 20 {
			t.Errorf("%d tries in five minutes", n)
		}
		repaired.Store(true)
		w.pass(2 * time.Minute)
		if f := w.inquire(); len(f.Failures) != 0 || !f.Sync.Daemons[0].Running {
			t.Errorf("afterwards %+v, %+v", f.Failures, f.Sync)
		}
		w.kill()
	})
}

// Real servers of another family than their service and sync exclude each other: a
// reload from the one to the other works in both directions.
func TestSyncAndMixedFamilies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		const mixed = `
[virtual_server.web]
address = "192.0.2.1:80"
forwarding = "tunnel"
real_server = ["2001:db8::1"]
`
		for range 2 {
			w.configure(parsed(t, mixed))
			w.holds("-A -t 192.0.2.1:80 -s wlc\n-a -t 192.0.2.1:80 -r [2001:db8::1]:80 -i -w 1 --tun-type ipip")
			w.configure(parsed(t, syncConfig))
			w.holds("-A -t 192.0.2.1:80 -s wlc\n-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1")
			if s := w.inquire(); len(s.Failures) != 0 || !s.Sync.Daemons[0].Running {
				t.Errorf("failures %+v, sync %+v", s.Failures, s.Sync)
			}
		}
		w.kill()
	})
}
