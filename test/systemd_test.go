package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/internal/netlab"
)

// systemdBoot starts systemd as the first process of a container: with the machine's programs and /etc, and no
// units but director's and the few that it needs.
const systemdBoot = `#!/bin/sh
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/units/sysinit.target.wants
for d in etc usr var; do
	mkdir -p /run/over/$d/up /run/over/$d/work
	mount -t overlay -o lowerdir=/$d,upperdir=/run/over/$d/up,workdir=/run/over/$d/work overlay /$d
done
rm -f /etc/machine-id
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
for u in sysinit.target basic.target multi-user.target shutdown.target network-online.target sockets.target \
	systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket; do
	cp /lib/systemd/system/$u /run/units/
done
ln -s ../systemd-journald.service /run/units/sysinit.target.wants/
for d in /etc/systemd/system /lib/systemd/system; do
	mount -t tmpfs -o mode=755 units $d
done
cp -a /run/units/. /lib/systemd/system/
@INSTALL@
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/etc/systemd/system:/lib/systemd/system container=netlab \
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=no
`

// A systemdHost is a host with a systemd.
type systemdHost struct {
	t     *testing.T
	host  *netlab.Host
	shell *netlab.Process // that systemd was started from
	init  int             // systemd's pid
	root  string          // where its files are
}

// bootSystemd starts systemd on a host, after the shell commands that install what it shall run.
func bootSystemd(f *farm, h *netlab.Host, install string) *systemdHost {
	f.t.Helper()
	boot, err := h.WriteFile("boot.sh", strings.Replace(systemdBoot, "@INSTALL@", install, 1))
	f.Must(err)
	s := &systemdHost{t: f.t, host: h, shell: f.Start(h, "systemd", "unshare", "--mount", "--pid", "--fork", "--kill-child", boot)}
	f.Eventually(patience, "systemd runs", func() error {
		for _, p := range h.Processes() {
			if p.Args[0] == "/lib/systemd/systemd" {
				s.init = p.Pid
				return nil
			}
		}
		return fmt.Errorf("it does not:\n%s", s.shell.Log())
	})
	s.root = fmt.Sprintf("/proc/%d/root", s.init)
	f.Eventually(patience, "systemd is ready", func() error {
		out, err := s.inside("systemctl", "is-active", "multi-user.target")
		if err != nil {
			return fmt.Errorf("%s\n%s", out, s.shell.Log())
		}
		return nil
	})
	return s
}

// inside runs a program where systemd is.
func (s *systemdHost) inside(argv ...string) (string, error) {
	return s.host.Run(append([]string{"nsenter", "--target", strconv.Itoa(s.init), "--mount", "--pid"}, argv...)...)
}

func (s *systemdHost) systemctl(args ...string) string {
	s.t.Helper()
	out, err := s.inside(append([]string{"systemctl", "--no-pager"}, args...)...)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.shell.Log())
	}
	return strings.TrimSpace(out)
}

// property returns a property of director's unit.
func (s *systemdHost) property(name string) string {
	s.t.Helper()
	return s.systemctl("show", "--value", "--property="+name, "director")
}

// wantActive checks that the service runs.
func (s *systemdHost) wantActive() {
	s.t.Helper()
	if got := s.property("ActiveState") + " " + s.property("SubState"); got != "active running" {
		s.t.Errorf("the service is %s", got)
	}
}

// director is the daemon that systemd runs.
func (s *systemdHost) director() *director {
	return &director{Process: s.shell, t: s.t, host: s.host, configPath: s.root + "/etc/director/director.toml", runtimeDir: s.root + "/run/director"}
}

// testSystemd runs the unit under a real systemd (set-up 14), with a peer beside it.
func testSystemd(t *testing.T) {
	f := newFarm(t, 2, 2)
	f.webServers(f.servers...)
	conf := strings.Replace(plainFarm, `  { name = "s3", address = "10.0.0.13:80" },`, "", 1)
	table := plainTable[:strings.LastIndex(plainTable, "-a")]
	b := startDirector(t, f.directors[1], conf+pairConfig(50, "300ms"))
	h := f.directors[0]
	conf += pairConfig(100, "300ms")
	config, err := h.WriteFile("first.toml", conf)
	f.Must(err)
	unit, err := filepath.Abs(unitPath)
	f.Must(err)
	s := bootSystemd(f, h, strings.NewReplacer("@BINARY@", binary(t), "@CONFIG@", config, "@UNIT@", unit).Replace(`
cp @BINARY@ /usr/local/sbin/director
mkdir -p /etc/director
cp @CONFIG@ /etc/director/director.toml
cp @UNIT@ /etc/systemd/system/director.service`))
	d, root := s.director(), s.root
	inside, systemctl, property, wantActive := s.inside, s.systemctl, s.property, s.wantActive

	// start returns when the daemon is ready: the table is there.
	systemctl("start", "director")
	wantActive()
	d.waitMaster()
	d.WaitServers()
	wantTable(t, h, table)
	if got := f.ask(4, farmURL); got["s1"] != 2 || got["s2"] != 2 {
		t.Errorf("answers %v", got)
	}
	f.Eventually(patience, "systemctl status", func() error {
		out := systemctl("status", "--full", "director")
		for _, want := range []string{"active (running)", `Status: "generation 1; `, "inside MASTER", "1 of 1 virtual servers up", `"director: vrrp"`, `"director: checkers"`} {
			if !strings.Contains(out, want) {
				return fmt.Errorf("it does not say %s:\n%s", want, out)
			}
		}
		return nil
	})
	if info, err := os.Stat(root + "/run/director/director.sock"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v, %v", info, err)
	}

	// reload returns when the new configuration is in force, or fails and changes nothing.
	d.WriteConfig(strings.Replace(conf, `"10.0.0.12:80"`, `"10.0.0.12:80", weight = 2`, 1))
	systemctl("reload", "director")
	wantTable(t, h, strings.Replace(table, "10.0.0.12:80 -m -w 1", "10.0.0.12:80 -m -w 2", 1))
	d.WriteConfig(conf + "\nnonsense = 1\n")
	if out, err := inside("systemctl", "reload", "director"); err == nil {
		t.Errorf("a reload of nonsense succeeded: %s", out)
	}
	wantActive()
	d.WriteConfig(conf)
	systemctl("reload", "director")
	wantTable(t, h, table)

	// restart: the peer has the addresses meanwhile.
	main := property("MainPID")
	transitions := b.Instance("outside").Transitions
	systemctl("restart", "director")
	wantActive()
	if now := property("MainPID"); now == main {
		t.Errorf("restart left process %s in place", now)
	}
	d.waitMaster()
	d.WaitServers()
	wantTable(t, h, table)
	f.Eventually(patience, "the peer took over and gave back", func() error {
		if i := b.Instance("outside"); i.State != "BACKUP" || i.Transitions < transitions+2 {
			return fmt.Errorf("it is %s after %d transitions", i.State, i.Transitions-transitions)
		}
		return nil
	})

	// The main process is killed: the children say good-bye and take the addresses off before systemd clears the rest away
	// and starts the daemon again; the table stays.
	addresses, entries := watchAddresses(t, h, outsideVIP, insideVIP), watchTable(t, h)
	capture, err := f.front.Capture(netlab.FilterVRRP)
	f.Must(err)
	main = property("MainPID")
	began := time.Now()
	for _, p := range h.Processes() {
		if slices.Contains(p.Args, "run") {
			f.Must(syscall.Kill(p.Pid, syscall.SIGKILL))
		}
	}
	gone := addresses.waitGone(t)
	goodbye, err := capture.WaitAdvert(patience, func(a netlab.Advert) bool { return a.Source.String() == "192.0.2.1" && a.Priority == 0 })
	f.Must(err)
	f.Must(capture.Close())
	f.Eventually(patience, "systemd starts it again", func() error {
		if now := property("MainPID"); now == main || now == "0" || property("NRestarts") != "1" || property("ActiveState") != "active" {
			return fmt.Errorf("main process %s (was %s), restarts %s, %s", now, main, property("NRestarts"), property("ActiveState"))
		}
		return nil
	})
	started := monotonicTime(t, property("ExecMainStartTimestampMonotonic"))
	t.Logf("the main process is killed: good-bye after %v, addresses off after %v, started again after %v",
		goodbye.Time.Sub(began).Round(time.Millisecond), gone.Sub(began).Round(time.Millisecond), started.Sub(began).Round(time.Millisecond))
	if late := stood(began); !gone.Before(started.Add(late)) || !goodbye.Time.Before(started) {
		t.Error("the addresses were not given up before the next start")
	}
	d.waitMaster()
	d.WaitServers()
	if changes, _ := entries.Changes(); len(changes) != 0 {
		t.Errorf("the IPVS table changed: %s", strings.Join(changes, "\n"))
	}
	entries.Stop()

	// stop: nothing is left, and it is not started again.
	addresses.Reset()
	systemctl("stop", "director")
	addresses.waitGone(t)
	wantTable(t, h, "")
	if got := property("ActiveState") + " " + property("Result"); got != "inactive success" {
		t.Errorf("the service is %s after the stop", got)
	}
	for _, p := range h.Processes() {
		if strings.HasPrefix(p.Args[0], "director") || strings.HasSuffix(p.Args[0], "/director") {
			t.Errorf("left behind: %v", p)
		}
	}
	// Attributes are fields of the journal: of the children, whose rights are few, as well.
	for match, want := range map[string]string{
		"DIRECTOR_INSTANCE=outside DIRECTOR_TO=STOP DIRECTOR_REASON_CODE=stopped": `msg="instance state" instance=outside from=MASTER to=STOP`,
		"DIRECTOR_PROCESS=vrrp SYSLOG_IDENTIFIER=director PRIORITY=6":             "process=vrrp",
	} {
		found, err := inside(append([]string{"journalctl", "--no-pager", "--unit=director", "--output=cat"}, strings.Fields(match)...)...)
		if err != nil || !strings.Contains(found, want) {
			t.Errorf("journalctl %s: %v\n%s", match, err, found)
		}
	}
	journal, err := inside("journalctl", "--no-pager", "--unit=director", "--output=cat")
	f.Must(err)
	for _, want := range []string{
		`msg="instance state" instance=outside from=BACKUP to=MASTER reason=`,
		`msg="instance state" instance=outside from=MASTER to=STOP reason="daemon stopped"`,
		`msg="director has stopped"`,
	} {
		if !strings.Contains(journal, want) {
			t.Errorf("the journal does not say %s:\n%s", want, journal)
		}
	}
}

// monotonicTime turns microseconds of CLOCK_MONOTONIC into a time.
func monotonicTime(t *testing.T, usec string) time.Time {
	t.Helper()
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		t.Fatal(err)
	}
	return time.Now().Add(time.Duration(n)*time.Microsecond - time.Duration(now.Nano()))
}
