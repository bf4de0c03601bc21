package test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// snmpdUnit is the unit of Debian's snmpd, which makes the folder of its sockets itself.
const snmpdUnit = "/lib/systemd/system/snmpd.service"

// deeds are what users' notify scripts do, by name.
var deeds = [][2]string{
	{"restart a service", "systemctl restart other"},
	{"write to the log", "logger tried"},
	{"write below /var", "touch /var/lib/tried.file"},
	{"write below /run", "touch /run/tried.file"},
	{"change another user's file", "sh -c 'echo x >>/var/lib/nobodys'"},
	{"give a file away", "chown nobody /var/lib/tried.file"},
	{"change another user's file's mode", "chmod 640 /var/lib/nobodys"},
	{"set a kernel setting", "sysctl -w net.ipv4.ip_nonlocal_bind=1"},
	{"add a route", "ip route replace 198.51.100.0/24 dev eth0"},
	{"end a user's process", "sh -c 'kill $(systemctl show --value --property=MainPID other)'"},
	{"write below /etc", "touch /etc/tried.file"},
	{"write below /usr", "touch /usr/local/tried.file"},
	{"write to a home", "touch /root/tried.file"},
	{"see the host's /tmp", "test -e /tmp/of-the-host"},
	{"enter a namespace", "unshare --net true"},
	{"mount", "mount -t tmpfs none /mnt"},
}

// confined are those that the unit's sandbox forbids. docs/scripts.md names them, and the drop-in that lets them.
var confined = []string{"write below /etc", "write below /usr", "write to a home", "see the host's /tmp", "enter a namespace", "mount"}

// testUnitSandbox runs what reaches outside under the real unit: the SNMP process with Debian's snmpd as its unit runs it, the
// web process at a port below 1024, the FIFO, the record of orders, and a notify script of root that does what such scripts do;
// then the same script with the drop-in of the documentation.
func testUnitSandbox(t *testing.T) {
	f := newFarm(t, 1, 1)
	f.webServers(f.servers...)
	h := f.directors[0]
	conf := plainFarm[:strings.Index(plainFarm, `  { name = "s2"`)] + "]\n" + pairConfig(100, "300ms") + `
[vrrp_instance.outside.notify]
master = "/usr/local/sbin/try"
user = "root"

[notify.fifo]
path = "/run/director/notify"

[web]
listen = "127.0.0.1:80"

[snmp]
retry_interval = "1s"
`
	script := "#!/bin/sh\ntry() {\n\tname=$1; shift\n\tif out=$(\"$@\" 2>&1); then echo \"$name: done\"; else echo \"$name: $out\" | head -n 1; fi >>/run/tried.new\n}\nrm -f /run/tried.new\n"
	for _, d := range deeds {
		script += fmt.Sprintf("try %q sh -c %q\n", d[0], d[1])
	}
	script += "mv /run/tried.new /run/tried\n"
	files := map[string]string{"CONFIG": conf, "SCRIPT": script,
		"OTHER": "[Service]\nUser=nobody\nExecStart=/bin/sleep infinity\nRestart=always\n",
		"SNMPD": "master agentx\nagentAddress udp:127.0.0.1:161\nrocommunity public\n"}
	var names []string
	for name, text := range files {
		path, err := h.WriteFile(strings.ToLower(name), text)
		f.Must(err)
		names = append(names, "@"+name+"@", path)
	}
	unit, err := filepath.Abs(unitPath)
	f.Must(err)
	agent, err := os.ReadFile(snmpdUnit)
	f.Must(err)
	agentUnit, err := h.WriteFile("snmpd.service", string(agent))
	f.Must(err)
	s := bootSystemd(f, h, strings.NewReplacer(append(names, "@BINARY@", binary(t), "@UNIT@", unit, "@AGENT@", agentUnit)...).Replace(`
cp @BINARY@ /usr/local/sbin/director
install -m 755 @SCRIPT@ /usr/local/sbin/try
mkdir -p /etc/director
cp @CONFIG@ /etc/director/director.toml
cp @SNMPD@ /etc/snmp/snmpd.conf
cp @UNIT@ /etc/systemd/system/director.service
cp @AGENT@ /etc/systemd/system/snmpd.service
cp @OTHER@ /etc/systemd/system/other.service
touch /var/lib/nobodys
chown nobody /var/lib/nobodys
rm -rf /var/agentx
mount -t tmpfs tmp /tmp
mount -t tmpfs root /root
touch /tmp/of-the-host`))
	s.systemctl("start", "snmpd", "other")
	s.systemctl("start", "director")
	d := s.director()
	d.waitMaster()

	f.Eventually(patience, "snmpd answers for director", func() error {
		out, err := s.inside("snmpget", "-v2c", "-c", "public", "-Oqv", "127.0.0.1", "1.3.6.1.4.1.9586.100.5.2.3.1.2.1")
		if err == nil && !strings.Contains(out, "outside") {
			err = fmt.Errorf("%s%+v", out, d.Status().Processes)
		}
		return err
	})
	if out, err := s.inside("curl", "--silent", "--show-error", "--fail", "http://127.0.0.1/healthz"); err != nil {
		t.Errorf("the web process: %v\n%s", err, out)
	}
	if info, err := os.Stat(s.root + "/run/director/notify"); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		t.Errorf("the FIFO: %v, %v", info, err)
	}
	if out, err := s.inside("/usr/local/sbin/director", "maintain", "--force", "web", "s1", "--reason", "new disk"); err != nil {
		t.Errorf("maintain: %v\n%s", err, out)
	}
	if _, err := os.Stat(s.root + "/var/lib/director/maintenance.json"); err != nil {
		t.Error(err)
	}

	// tried is what the script could do.
	tried := func() map[string]string {
		t.Helper()
		var text []byte
		f.Eventually(patience, "the script has run", func() error {
			text, err = os.ReadFile(s.root + "/run/tried")
			return err
		})
		f.Must(os.Remove(s.root + "/run/tried"))
		found := map[string]string{}
		for line := range strings.Lines(string(text)) {
			name, outcome, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			found[name] = outcome
		}
		return found
	}
	want := map[string]string{}
	for _, d := range deeds {
		want[d[0]] = "done"
	}
	free := maps.Clone(want)
	found := tried()
	for _, name := range confined {
		want[name] = found[name]
		if found[name] == "done" {
			t.Errorf("the sandbox lets a script %s", name)
		}
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("what a script can do in the sandbox (-want +found):\n%s", diff)
	}

	// The drop-in of the documentation sets scripts free.
	page, err := os.ReadFile("../docs/scripts.md")
	f.Must(err)
	dropIn := regexp.MustCompile("(?s)```ini\n(.*?)```").FindSubmatch(page)
	if dropIn == nil {
		t.Fatal("there is no drop-in in docs/scripts.md")
	}
	f.Must(os.MkdirAll(s.root+"/etc/systemd/system/director.service.d", 0o755))
	f.Must(os.WriteFile(s.root+"/etc/systemd/system/director.service.d/scripts.conf", dropIn[1], 0o644))
	s.systemctl("daemon-reload")
	s.systemctl("restart", "director")
	s.wantActive()
	d.waitMaster()
	if diff := cmp.Diff(free, tried()); diff != "" {
		t.Errorf("what a script can do with the drop-in (-want +found):\n%s", diff)
	}
}
