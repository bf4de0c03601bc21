package test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
)

// term finds what a tracker adds to the priority of VI_1.
func (d *director) term(source string) control.PriorityTerm {
	d.t.Helper()
	for _, t := range d.Instance("VI_1").Terms {
		if t.Source == source {
			return t
		}
	}
	d.t.Fatalf("%s: VI_1 does not track %s", d.host.Name(), source)
	return control.PriorityTerm{}
}

// Everything that can be tracked moves the address away and back: an interface
// with a delay, a file, a process and its page (a real nginx), and a gateway
// without which the host is in FAULT.
func TestTracking(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	gateway := p.Host("gw")
	gwPort := p.Connect(gateway, "eth0", p.sw, "192.0.2.254/24")
	uplink := p.Connect(p.a, "eth1", p.Switch("uplink"), "198.51.100.1/24")
	p.Must(p.a.DefaultRoute(netip.MustParseAddr("192.0.2.254")))
	page := netip.MustParseAddrPort("192.0.2.1:8080")
	nginx, err := p.a.Nginx(page, "A", netlab.NginxOptions{})
	p.Must(err)
	file := p.a.Path("maintenance")

	conf := fmt.Sprintf(`[track_interface.eth1]
up_delay = "600ms"
weight = -30
[track_file.maintenance]
file = %q
init_file = "missing"
[track_process.nginx]
command_line = "nginx: master process nginx -p %s "
command_match = "prefix"
interval = "50ms"
weight = -20
[track_target.page]
type = "http"
address = "192.0.2.1"
port = 8080
path = "/health"
interval = "100ms"
timeout = "1s"
fall = 2
weight = -20
[track_target.gateway]
gateway = "ipv4"
interval = "100ms"
timeout = "1s"
fall = 2
`, file, p.a.Path("nginx")) + vrrp("VI_1", 51, 100, "192.0.2.100/24", fast, forbearing, `track_interface = "eth1"`, `track_file = "maintenance"`,
		`track_process = "nginx"`, `track_target = ["page", "gateway"]`)
	a := startDirector(t, p.a, conf)
	b := startDirector(t, p.b, vrrp("VI_1", 51, 90, "192.0.2.100/24", fast, forbearing))
	p.onlyOn(p.a, vip, patience)
	if got, err := os.ReadFile(file); string(got) != "0\n" {
		t.Errorf("the file was made with %q, %v", got, err)
	}
	// A respawn of the process knows all verdicts, and so it goes on at once.
	pid := a.Kill("vrrp")
	a.WaitRespawn("vrrp", pid, patience)
	if i := a.WaitInstance("VI_1", "MASTER", patience); i.Code != "resumed" || i.Priority != 100 {
		t.Errorf("A is MASTER with %d: %s", i.Priority, i.Reason)
	}
	if got, err := os.ReadFile(file); string(got) != "0\n" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	moved := func(what string, away, back func(), check func()) {
		t.Helper()
		away()
		p.onlyOn(p.b, vip, patience)
		if check(); t.Failed() {
			t.Fatalf("after: %s", what)
		}
		back()
		p.onlyOn(p.a, vip, patience)
		if i := a.WaitInstance("VI_1", "MASTER", patience); i.Priority != 100 {
			t.Fatalf("%s: A has priority %d: %+v", what, i.Priority, i.Terms)
		}
	}
	expect := func(source string, value int, note string) {
		t.Helper()
		if term := a.term(source); term.Value != value || term.Note != note {
			t.Errorf("%s is %+v, want %d (%s)", source, term, value, note)
		}
	}
	set := func(number string) func() {
		return func() { p.Must(os.WriteFile(file, []byte(number+"\n"), 0o644)) }
	}

	var plugged time.Time
	moved("the uplink", func() { p.Must(uplink.Unplug()) }, func() { plugged = time.Now(); p.Must(uplink.Plug()) },
		func() { expect("interface eth1", -30, "down, weight -30: interface eth1 is down") })
	if took := time.Since(plugged); took < 600*time.Millisecond {
		t.Errorf("the address is back %v after the link, the delay is 600 ms", took)
	}

	moved("the file", set("-50"), set("0"), func() { expect("file maintenance", -50, "-50, weight 1: "+file+" holds -50") })
	moved("the file replaced", func() {
		p.Must(os.WriteFile(file+".new", []byte("-254"), 0o644))
		p.Must(os.Rename(file+".new", file))
		if i := a.WaitInstance("VI_1", "FAULT", patience); i.Reason != "file maintenance: "+file+" holds -254" {
			t.Errorf("A is in FAULT: %s", i.Reason)
		}
	}, func() { p.Must(os.Remove(file)) }, func() {})

	moved("nginx", func() { p.Must(nginx.Stop(patience)) }, func() {
		nginx, err = p.a.Nginx(page, "A", netlab.NginxOptions{})
		p.Must(err)
	}, func() {
		p.Eventually(patience, "both trackers say so", func() error {
			if i := a.Instance("VI_1"); i.Priority != 60 {
				return fmt.Errorf("priority %d", i.Priority)
			}
			return nil
		})
		expect("process nginx", -20, "down, weight -20: none runs, wanted are at least 1")
		expect("target page", -20, "down, weight -20: refused: connect: connection refused")
	})
	moved("a page that is not well", func() { p.Must(nginx.SetHealthy(false)) }, func() { p.Must(nginx.SetHealthy(true)) }, func() {
		expect("process nginx", 0, "up, weight -20")
		if term := a.term("target page"); !strings.Contains(term.Detail, "503") {
			t.Errorf("the page is %+v", term)
		}
	})

	moved("the gateway", func() { p.Must(gwPort.Cut()) }, func() { p.Must(gwPort.Heal()) }, func() {
		i := a.WaitInstance("VI_1", "FAULT", patience)
		if !strings.HasPrefix(i.Reason, "target gateway: ") || i.Code != "tracker" {
			t.Errorf("A is in FAULT (%s): %s", i.Code, i.Reason)
		}
		// The successor of a killed process knows what it knew, and says nothing anew.
		pid = a.Kill("vrrp")
		a.WaitRespawn("vrrp", pid, patience)
		a.WaitInstance("VI_1", "FAULT", patience)
	})

	text, err := a.CLI("status")
	p.Must(err)
	for _, want := range []string{"TRACKED", "file maintenance", "process nginx", "target gateway", "interface eth1"} {
		if !strings.Contains(text, want) {
			t.Errorf("status does not say %q:\n%s", want, text)
		}
	}
	// Probes do not delay adverts: B never took over when nothing was wrong.
	if i := b.Instance("VI_1"); i.Code != "higher_priority" {
		t.Errorf("B is %s: %s", i.State, i.Reason)
	}
	a.waitLog(0, 1, "from=-254 to=0")
	var told []string
	for line := range strings.Lines(a.Log()) {
		if _, rest, ok := strings.Cut(line, `tracker="file maintenance" `); ok {
			from, _, _ := strings.Cut(rest, " reason=")
			told = append(told, from)
		}
	}
	want := []string{"from=unknown to=0", "from=0 to=-50", "from=-50 to=0", "from=0 to=-254", "from=-254 to=0"}
	if !slices.Equal(told, want) {
		t.Errorf("the log tells of the file: %q", told)
	}
}

// A script that would run as root and that somebody else can change is refused:
// by check, at the start, and at a reload, which leaves the service as it is. As
// another user it runs.
func TestUnsafeScript(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	dir := p.a.Path("writable")
	p.Must(os.Mkdir(dir, 0o755))
	p.Must(os.Chmod(dir, 0o777))
	script := dir + "/chk"
	p.Must(os.WriteFile(script, []byte("#!/bin/sh\nid -un\n"), 0o755))
	conf := func(user string) string {
		return fmt.Sprintf("[vrrp_script.chk]\nscript = %q\nuser = %q\ninterval = \"200ms\"\ntimeout = \"3s\"\n", script, user) +
			vrrp("VI_1", 51, 100, "192.0.2.100/24", fast, `track_script = "chk"`)
	}
	refusal := fmt.Sprintf("director.toml:2: vrrp_script.chk.script: %s would run as root, but %s belongs to root and has the mode drwxrwxrwx (0777): "+
		"allowed is a path of which each part belongs to root and is writable by nobody else; correct that, or let it run as another user", script, dir)
	d := launchDirector(t, p.a, conf("root"))
	code, err := d.Wait(startLimit)
	p.Must(err)
	if code == 0 || !strings.Contains(d.Log(), strings.ReplaceAll(refusal, `"`, `\"`)) {
		t.Errorf("director ended with %d:\n%s", code, d.Log())
	}
	if out, err := p.a.Run(binary(t), "check", "-c", d.ConfigPath()); err == nil || !strings.Contains(out+err.Error(), strings.TrimPrefix(refusal, "director.toml:2: ")) {
		t.Errorf("check: %v\n%s", err, out)
	}

	d = startDirector(t, p.a, conf("nobody"))
	d.WaitInstance("VI_1", "MASTER", patience)
	if s := d.Status().VRRP.Scripts; len(s) != 1 || s[0].Output != "nobody" && s[0].Output != "nobody\n" || s[0].State != "up" {
		t.Errorf("the script says %+v", s)
	}
	if err := d.Reload(conf("root")); err == nil || !strings.HasSuffix(err.Error(), refusal) {
		t.Errorf("reload: %v", err)
	}
	p.Holds(lull, "the service goes on", func() bool { return p.a.HasAddr(vip) && d.Instance("VI_1").State == "MASTER" })
	p.Must(os.Chmod(dir, 0o755))
	p.Must(d.Reload(conf("root")))
	d.waitFor(patience, "the script runs as root", func(s control.Status) error {
		if out := s.VRRP.Scripts[0].Output; strings.TrimSpace(out) != "root" {
			return fmt.Errorf("it says %q", out)
		}
		return nil
	})
}

// A script that names no user runs as director_script when there is such a user,
// and else as root, about which check warns.
func TestScriptsAreUnprivilegedByDefault(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	conf := "[vrrp_script.chk]\nscript = [\"/usr/bin/id\", \"-u\"]\ninterval = \"200ms\"\n" +
		vrrp("VI_1", 51, 100, "192.0.2.100/24", fast, `track_script = "chk"`)
	users, err := os.ReadFile("/etc/passwd")
	p.Must(err)
	own, err := p.a.WriteFile("passwd", string(users)+"director_script:x:64999:64999::/nonexistent:/usr/sbin/nologin\n")
	p.Must(err)
	d := &director{t: t, host: p.a, configPath: p.a.Path("director.toml"), runtimeDir: p.a.Path("run")}
	d.WriteConfig(conf)
	// In a mount namespace of its own, where the host has that user.
	with := func(args ...string) []string {
		return append([]string{"unshare", "-m", "sh", "-c", `mount --bind "$0" /etc/passwd && exec "$@"`, own}, args...)
	}
	const warning = "global.script_user: scripts that name no user run as root"
	if out, err := p.a.Run(binary(t), "check", "-c", d.ConfigPath()); err != nil || !strings.Contains(out, warning) {
		t.Errorf("check without the user: %v\n%s", err, out)
	}
	if out, err := p.a.Run(with(binary(t), "check", "-c", d.ConfigPath())...); err != nil || strings.Contains(out, warning) {
		t.Errorf("check with the user: %v\n%s", err, out)
	}
	d.Process, err = p.a.Start("director", with(d.argv("run", "-c", d.ConfigPath())...)...)
	p.Must(err)
	d.WaitReady()
	d.waitFor(patience, "the script runs as director_script", func(s control.Status) error {
		if s.VRRP == nil || len(s.VRRP.Scripts) != 1 || strings.TrimSpace(s.VRRP.Scripts[0].Output) != "64999" {
			return fmt.Errorf("status says %+v", s.VRRP)
		}
		return nil
	})
}
