package test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// mibDir has KEEPALIVED-MIB, of Debian's keepalived. What that imports is not in Debian's main archive; testdata/smi.txt has as
// much of it as is used.
const mibDir = "/usr/share/snmp/mibs"

// snmpAgent is net-snmp's snmpd on a host, which takes subagents at a socket.
type snmpAgent struct {
	*netlab.Process
	lab  *labtest.Lab
	host *netlab.Host
}

// agentSocket is where the snmpd of a host takes subagents.
func agentSocket(h *netlab.Host) string { return h.Path("agentx") }

func startSnmpd(l *labtest.Lab, h *netlab.Host) *snmpAgent {
	conf, err := h.WriteFile("snmpd.conf", "master agentx\nagentXSocket "+agentSocket(h)+"\nagentAddress udp:127.0.0.1:161\nrocommunity public\nrwcommunity private\ndontLogTCPWrappersConnects yes\n")
	l.Must(err)
	a := &snmpAgent{l.Start(h, "snmpd", "env", "MIBS=", "SNMP_PERSISTENT_DIR="+h.Path("snmpd"), "snmpd", "-f", "-C", "-c", conf, "-Lo"), l, h}
	l.Within(patience, "snmpd is ready", func() bool { return strings.Contains(a.Log(), "NET-SNMP version") })
	return a
}

// run runs one of net-snmp's commands with the MIB.
func (a *snmpAgent) run(command string, args ...string) (string, error) {
	argv := []string{command, "-M", a.host.Path("mibs") + ":" + mibDir, "-m", "KEEPALIVED-MIB:VRRP-MIB:VRRPV3-MIB", "-v2c", "-c", "private", "-r", "1", "-t", "5"}
	if err := os.MkdirAll(a.host.Path("mibs"), 0o755); err != nil {
		return "", err
	}
	text, err := os.ReadFile("testdata/smi.txt")
	if err == nil {
		_, err = a.host.WriteFile("mibs/smi.txt", string(text))
	}
	if err != nil {
		return "", err
	}
	return a.host.Run(append(append(argv, "127.0.0.1"), args...)...)
}

// walk returns what a command finds below KEEPALIVED-MIB and the MIBs of VRRP, by names.
func (a *snmpAgent) walk(command string, args ...string) map[string]string {
	all := make(map[string]string)
	for _, root := range []string{"KEEPALIVED-MIB::keepalived", "VRRP-MIB::vrrpMIB", "VRRPV3-MIB::vrrpv3MIB"} {
		out, err := a.run(command, append(slices.Clone(args), root)...)
		a.lab.Must(err)
		for _, m := range regexp.MustCompile(`(?m)^[\w-]+::(\S+) = (.*)$`).FindAllStringSubmatch(out, -1) {
			all[m[1]] = strings.TrimSpace(m[2])
		}
	}
	return all
}

// waitFor waits until an object has a value, as net-snmp shows it.
func (a *snmpAgent) waitFor(object, want string) {
	a.lab.Eventually(patience, a.host.Name()+": "+object+" is "+want, func() error {
		out, err := a.run("snmpget", "KEEPALIVED-MIB::"+object)
		if err == nil && !strings.HasSuffix(strings.TrimSpace(out), want) {
			err = fmt.Errorf("%s", out)
		}
		return err
	})
}

// snmpConf is a configuration of keepalived that both programs run.
func snmpConf(socket, folder string) string {
	return `global_defs {
  router_id lb-a
  enable_snmp_vrrp
  enable_snmp_rfc
  snmp_socket ` + socket + `
  notification_email {
    ops@example.com
    night@example.com
  }
  notification_email_from lb@example.com
  smtp_server 127.0.0.1 26
  smtp_connect_timeout 7
  script_user root
  enable_script_security
}
vrrp_script chk {
  script "/usr/bin/test -e /etc/passwd"
  interval 1
  weight -10
  rise 2
  fall 3
}
vrrp_track_file tf {
  file ` + folder + `/tracked
  weight 1
}
vrrp_instance VI_1 {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority 100
  version 3
  advert_int 0.3
  preempt_delay 3
  garp_master_delay 7
  smtp_alert
  track_script {
    chk
  }
  track_file {
    tf weight 1
  }
  track_interface {
    lo weight 20
  }
  virtual_ipaddress {
    192.0.2.100/24 dev eth0 label eth0:v
    192.0.2.101/32 dev eth0
  }
  virtual_ipaddress_excluded {
    2001:db8::100/64 dev eth0
  }
  virtual_routes {
    198.51.100.0/24 via 192.0.2.254 dev eth0 metric 5
  }
  virtual_rules {
    from 192.0.2.100 table 100 priority 1000
  }
  notify_master "/usr/bin/true master"
  notify_backup "/usr/bin/true backup"
  notify_fault "/usr/bin/true fault"
  notify_stop "/usr/bin/true stop"
  notify "/usr/bin/true all"
}
vrrp_instance VI_2 {
  interface eth0
  virtual_router_id 52
  priority 90
  advert_int 0.3
  version 3
  nopreempt
  virtual_ipaddress {
    192.0.2.110/24 dev eth0
  }
}
vrrp_instance VI_3 {
  interface eth0
  virtual_router_id 53
  priority 90
  version 2
  authentication {
    auth_type PASS
    auth_pass geheim
  }
  unicast_peer {
    192.0.2.9
  }
  virtual_ipaddress {
    192.0.2.120/24 dev eth0
  }
}
vrrp_sync_group G {
  group {
    VI_2
    VI_3
  }
  notify_master "/usr/bin/true m"
}
static_ipaddress {
  192.0.2.77/32 dev eth0
}
`
}

// TestSNMPAgent: snmpd answers for director's tables, beside keepalived's own for the same configuration; whatever becomes of
// either process, the other and VRRP go on.
func TestSNMPAgent(t *testing.T) {
	t.Parallel()
	p := newPair6(t)
	p.Must(p.portB.Cut()) // both shall be MASTER
	var agents []*snmpAgent
	_, err := p.client.WriteFile("tracked", "3\n")
	p.Must(err)
	for _, h := range []*netlab.Host{p.a, p.b} {
		agents = append(agents, startSnmpd(p.Lab, h))
	}
	ours, theirs := agents[0], agents[1]
	a := startWithConf(t, p.a, snmpConf(agentSocket(p.a), p.client.Dir()))
	path, err := p.b.WriteFile(netlab.KeepalivedConf, snmpConf(agentSocket(p.b), p.client.Dir()))
	p.Must(err)
	p.Start(p.b, "keepalived", "keepalived", "-n", "-l", "-D", "--vrrp", "-f", path,
		"-p", p.b.Path("keepalived.pid"), "-r", p.b.Path("keepalived-vrrp.pid"), "-c", p.b.Path("keepalived-checkers.pid"))
	for _, agent := range agents {
		for i := range 3 {
			agent.waitFor(fmt.Sprintf("vrrpInstanceState.%d", i+1), "master(2)")
		}
		agent.waitFor("vrrpScriptResult.1", "good(3)")
		agent.waitFor("vrrpInstanceEffectivePriority.1", "123")
	}
	// Where the hosts themselves differ: their addresses and those of their interfaces.
	mine := map[string]string{}
	for name, value := range theirs.walk("snmpwalk") {
		mine[name] = strings.NewReplacer("192.0.2.2", "192.0.2.1", "C0 00 02 02", "C0 00 02 01", shownMAC(t, p.b), shownMAC(t, p.a)).Replace(value)
	}
	compare(t, ours.walk("snmpwalk"), mine, "vrrp", "version", "dynamic", "lvs", "smtpEmailSmtp")
	if by, bulk := ours.walk("snmpwalk"), ours.walk("snmpbulkwalk", "-Cr25"); len(by) < 200 || len(by) != len(bulk) {
		t.Errorf("snmpwalk finds %d objects, snmpbulkwalk %d", len(by), len(bulk))
	}
	if out, err := ours.run("snmpset", "KEEPALIVED-MIB::vrrpInstanceBasePriority.1", "i", "99"); err == nil || !strings.Contains(err.Error()+out, "notWritable") {
		t.Errorf("a set: %v %s", err, out)
	}

	pid := a.observerPID("snmp", 0)
	a.hasNoRights("snmp", pid)
	before := a.Status()
	p.Must(unix.Kill(pid, unix.SIGKILL))
	again := a.observerPID("snmp", pid)
	ours.waitFor("vrrpInstanceState.1", "master(2)")

	// The agent restarts: the subagent comes back, and says meanwhile why it is not there.
	p.Must(ours.Stop(patience))
	a.waitFor(patience, "status says why there is no SNMP process", func(s control.Status) error {
		r, err := findRole(s, "snmp")
		if err == nil && (r.PID != 0 || !strings.Contains(r.LastExit, "connect: ")) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	ours = startSnmpd(p.Lab, p.a)
	back := a.observerPID("snmp", again)
	ours.waitFor("vrrpInstanceState.1", "master(2)")

	after := a.Status()
	if after.VRRP.Instances[0].Transitions != before.VRRP.Instances[0].Transitions || after.Processes[1].PID != before.Processes[1].PID {
		t.Errorf("what happened to SNMP concerned others: %+v, before %+v", after.Processes, before.Processes)
	}
	p.Must(a.Process.Stop(patience))
	p.Within(patience, "the SNMP process is gone with the daemon", func() bool { return unix.Kill(back, 0) == unix.ESRCH })
}

// shownMAC is the address of a host's eth0 as net-snmp writes it.
func shownMAC(t *testing.T, h *netlab.Host) string {
	t.Helper()
	address, err := h.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, b := range address {
		parts = append(parts, strconv.FormatUint(uint64(b), 16))
	}
	return strings.Join(parts, ":")
}

// objectsOf lists the objects that the first column of the table of a section of docs/snmp.md names.
func objectsOf(t *testing.T, section string) []string {
	t.Helper()
	page, err := os.ReadFile("../docs/snmp.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var list []string
	for _, line := range strings.Split(text, "\n") {
		if row, is := strings.CutPrefix(line, "|"); is {
			first, _, _ := strings.Cut(row, "|")
			for _, m := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(first, -1) {
				list = append(list, m[1])
			}
		}
	}
	if len(list) < 5 {
		t.Fatalf("docs/snmp.md names only %d objects in %q", len(list), section)
	}
	return list
}

// compare holds the objects of two agents against each other. Those that may differ are told by docs/snmp.md; of those that begin
// as shown, all do. What the page leaves out keepalived alone has.
func compare(t *testing.T, ours, theirs map[string]string, shown ...string) {
	t.Helper()
	differs := make(map[string]bool)
	for _, object := range objectsOf(t, "Beside keepalived") {
		differs[object] = false
	}
	omitted := objectsOf(t, "What is left out")
	names := maps.Clone(ours)
	maps.Copy(names, theirs)
	same := 0
	for _, name := range slices.Sorted(maps.Keys(names)) {
		object, _, _ := strings.Cut(name, ".")
		_, may := differs[object]
		switch {
		case ours[name] == theirs[name]:
			same++
		case may:
			differs[object] = true
		case ours[name] == "" && slices.Contains(omitted, object):
		default:
			t.Errorf("%s: director has %q, keepalived %q", name, ours[name], theirs[name])
		}
	}
	for object, does := range differs {
		if !does && slices.ContainsFunc(shown, func(s string) bool { return strings.HasPrefix(object, s) }) {
			t.Errorf("docs/snmp.md says that %s differs, which it does not", object)
		}
	}
	t.Logf("%d of %d values are the same", same, len(names))
}

// TestSNMPAgentHangs: an SNMP agent that does nothing any more is left, and taken again when it goes on; VRRP does not notice.
func TestSNMPAgentHangs(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	agent := startSnmpd(p.Lab, p.a)
	a := startDirector(t, p.a, fmt.Sprintf("[snmp]\nsocket = %q\ntimeout = \"1s\"\nping_interval = \"1s\"\n", agentSocket(p.a))+
		vrrp("VI", 51, 100, "192.0.2.100/24", fast))
	agent.waitFor("vrrpInstanceState.1", "master(2)")
	before := a.Status()
	p.Must(agent.Signal(unix.SIGSTOP))
	a.waitFor(patience, "the silence is noticed", func(s control.Status) error {
		r, err := findRole(s, "snmp")
		if err == nil && !strings.Contains(r.LastExit, "does not answer in time") {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	p.Must(agent.Signal(unix.SIGCONT))
	agent.waitFor("vrrpInstanceState.1", "master(2)")
	after := a.Status()
	if after.VRRP.Instances[0].Transitions != before.VRRP.Instances[0].Transitions || after.Processes[1].PID != before.Processes[1].PID {
		t.Errorf("the agent's silence concerned others: %+v, before %+v", after.Processes, before.Processes)
	}
}
