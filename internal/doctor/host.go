package doctor

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"director/internal/control"
)

// advice: what the configuration's own checks have found on this host.
func advice(v *visit) {
	for _, a := range v.Facts.Advice {
		f := Finding{ID: v.check.ID, Severity: a.Severity, File: v.File, Line: a.Line, Key: a.Key, Found: a.Text, Why: v.check.Why, Cure: []string{}}
		if _, command, ok := strings.Cut(a.Text, ": ch"); ok { // chmod or chown
			f.Cure = []string{"ch" + command}
		}
		v.findings = append(v.findings, f)
	}
}

// What a rival does.
const (
	addresses = 1 << iota
	table
)

// rivalOf says what of director's work a process does, and its unit in systemd.
func rivalOf(name string, args []string) (does int, unit string) {
	arg := func(want string) bool { return slices.ContainsFunc(args, func(a string) bool { return a == want }) }
	switch {
	case name == "keepalived":
		return addresses | table, "keepalived"
	case name == "ldirectord", slices.ContainsFunc(args, func(a string) bool { return path.Base(a) == "ldirectord" }):
		return table, "ldirectord"
	case name == "kube-proxy" && (arg("--proxy-mode=ipvs") || arg("--proxy-mode") && arg("ipvs")):
		return table, ""
	case name == "kube-router" && !arg("--run-service-proxy=false"):
		return table, ""
	case name == "ucarp", name == "vrrpd", name == "seesaw_ha":
		return addresses, ""
	case name == "seesaw_ncc":
		return table, ""
	case name == "director" && len(args) > 1 && args[1] == "run":
		return addresses | table, ""
	}
	return 0, ""
}

// rival: who runs beside director. Another director has a process group of its own;
// the one that answers is not meant.
func rival(v *visit) {
	for _, p := range v.Facts.Processes {
		does, service := rivalOf(p.Name, p.Args)
		if p.Other || v.ours(p.PID) {
			continue
		}
		if p.Name == "director" && v.Facts.Denied {
			continue // it may well be the one that may not be asked
		}
		if p.Name == "director" && v.Facts.Daemon == nil && does != 0 {
			v.add(Unwise, nil, fmt.Sprintf("a director runs as process %d and does not answer at %s", p.PID, v.Facts.RuntimeDir.Socket), "director doctor --runtime-dir DIR   # with the folder of that one")
			continue
		}
		cure := fmt.Sprintf("kill %d", p.PID)
		if service != "" {
			cure = "systemctl disable --now " + service
		}
		where := ""
		s := Broken
		if !p.Sure {
			s, where = Unwise, " (whether in this network namespace could not be seen)"
		}
		if does&addresses != 0 && len(v.Config.Instances) > 0 {
			v.add(s, []string{"vrrp_instance", v.Config.Instances[0].Name}, fmt.Sprintf("%s runs as process %d and manages virtual addresses%s", p.Name, p.PID, where), cure)
		} else if does&table != 0 && len(v.Config.VirtualServers) > 0 {
			v.add(s, []string{"virtual_server", v.Config.VirtualServers[0].Name}, fmt.Sprintf("%s runs as process %d and writes to the IPVS table%s", p.Name, p.PID, where), cure)
		} else if p.Name == "kube-proxy" && does == 0 && len(v.Config.VirtualServers) > 0 {
			v.add(Note, []string{"virtual_server", v.Config.VirtualServers[0].Name}, fmt.Sprintf("kube-proxy runs as process %d, and its arguments do not tell whether in IPVS mode", p.PID), "curl -s http://127.0.0.1:10249/proxyMode   # anything but ipvs is well")
		}
	}
}

// ours says that a process belongs to the daemon that answered.
func (v *visit) ours(pid int) bool {
	return v.Facts.Daemon != nil && slices.ContainsFunc(v.Facts.Daemon.Processes, func(p control.Process) bool { return p.PID == pid })
}

// rivalAtBoot: units that are enabled.
func rivalAtBoot(v *visit) {
	for _, u := range v.Facts.Units {
		v.add(Unwise, nil, "systemd starts "+u+" at boot", "systemctl disable "+u)
	}
}

// networkd: what it removes when it starts anew (ManageForeignRoutes= in
// networkd.conf(5)).
func networkd(v *visit) {
	n := v.Facts.Networkd
	if !n.Runs {
		return
	}
	warn := func(path []string, keeps bool, what, option string) {
		if !keeps {
			v.add(Unwise, path, "systemd-networkd runs, and "+option+" is not no", "mkdir -p /etc/systemd/networkd.conf.d",
				fmt.Sprintf(`printf '[Network]\n%s=no\n' >/etc/systemd/networkd.conf.d/director-%s.conf`, option, what), "systemctl restart systemd-networkd")
		}
	}
	routes := func(path []string, n1 int) {
		if n1 > 0 {
			warn(path, n.KeepsRoutes, "routes", "ManageForeignRoutes")
		}
	}
	rules := func(path []string, n1 int) {
		if n1 > 0 {
			warn(path, n.KeepsRules, "rules", "ManageForeignRoutingPolicyRules")
		}
	}
	for i := range v.Config.Instances {
		in := &v.Config.Instances[i]
		routes([]string{"vrrp_instance", in.Name, "virtual_routes"}, len(in.Routes))
		rules([]string{"vrrp_instance", in.Name, "virtual_rules"}, len(in.Rules))
	}
	routes([]string{"static_route"}, len(v.Config.StaticRoutes))
	rules([]string{"static_rule"}, len(v.Config.StaticRules))
}

// longestSocket is what fits into a socket's address (unix(7)), less the final zero.
const longestSocket = 107

// runtimeDir: what the daemon needs of it.
func runtimeDir(v *visit) {
	d := v.Facts.RuntimeDir
	dir := quote(d.Path)
	switch {
	case d.Path == "":
	case len(d.Socket) > longestSocket:
		v.add(Broken, nil, fmt.Sprintf("the path of the control socket has %d bytes, at most %d are allowed: %s", len(d.Socket), longestSocket, d.Socket), "director run --runtime-dir /run/director")
	case d.Exists && !d.IsDir:
		v.add(Broken, nil, d.Path+" is no folder", "rm "+dir+" && mkdir -m 0755 "+dir)
	case d.Exists && d.Mode&0o022 != 0:
		v.add(Broken, nil, fmt.Sprintf("%s may be written to by others (mode %04o)", d.Path, d.Mode), "chmod 0755 "+dir)
	case d.RecordError != "":
		v.add(Unwise, nil, "the record of owned services cannot be used, so that services of a former run may stay in the kernel: "+d.RecordError, "ipvsadm -Ln   # which are not in the file? ipvsadm -D removes them", "rm "+quote(path.Join(d.Path, "ipvs-owned.json")))
	}
}

// unit: how systemd treats the daemon that runs.
func unit(v *visit) {
	u := v.Facts.Unit
	name := u["Id"]
	if name == "" {
		return
	}
	for _, want := range []struct{ property, value, why string }{
		{"KillMode", "process", "systemd kills the children at a stop, before they have handed their addresses over"},
		{"RuntimeDirectoryPreserve", "yes", "the record of owned services is lost at a restart"},
	} {
		got, ok := u[want.property]
		if !ok || got == want.value || want.property == "RuntimeDirectoryPreserve" && (u["RuntimeDirectory"] == "" || got == "restart") {
			continue
		}
		v.add(Unwise, nil, fmt.Sprintf("%s has %s=%s: %s", name, want.property, got, want.why), "systemctl edit "+name, "[Service]", want.property+"="+want.value)
	}
}

// The kernel's numbers (linux/capability.h).
var capabilityNumbers = map[string]int{"CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_SYS_NICE": 23}

// capabilities: what the configuration needs of the daemon that runs.
func capabilities(v *visit) {
	if v.Facts.Daemon == nil {
		return
	}
	need := func(name string, s Severity, path []string, what string) {
		if v.Facts.DaemonCaps&(1<<capabilityNumbers[name]) == 0 {
			v.add(s, path, fmt.Sprintf("the daemon has not got %s, which %s needs", name, what), "systemctl edit director", "[Service]", "CapabilityBoundingSet="+name)
		}
	}
	need("CAP_NET_ADMIN", Broken, nil, "everything it sets in the kernel")
	need("CAP_NET_RAW", Broken, nil, "sending and hearing adverts, ping")
	if v.Config.VRRPProcess.RTPriority > 0 || v.Config.VRRPProcess.Nice < 0 {
		need("CAP_SYS_NICE", Broken, []string{"vrrp_process"}, "its priority")
	}
	if v.Config.VRRPProcess.LockMemory {
		need("CAP_IPC_LOCK", Unwise, []string{"vrrp_process"}, "lock_memory")
	}
	if u := v.Config.Global.ScriptUser; u != "" && u != "root" && len(v.Config.Scripts) > 0 {
		for _, name := range []string{"CAP_SETUID", "CAP_SETGID", "CAP_KILL"} {
			need(name, Broken, []string{"global", "script_user"}, "running and ending scripts as "+u)
		}
	}
}

// daemon: what status shows, as findings.
func daemon(v *visit) {
	s := v.Facts.Daemon
	if s == nil {
		return
	}
	if v.Facts.OtherConfig {
		v.add(Note, nil, fmt.Sprintf("the running daemon has another configuration, %s", s.ConfigPath), "director doctor -c "+quote(s.ConfigPath))
	}
	if r := s.LastReload; r != nil && !r.OK {
		v.add(Broken, nil, "the newest reload was refused, and an older configuration is in force: "+strings.Join(r.Errors, "; "), "director check -c "+quote(v.File)+" && director reload")
	}
	for _, p := range s.Processes {
		if p.Unfit != "" {
			v.add(Unwise, []string{p.Role + "_process"}, fmt.Sprintf("the %s process: %s", p.Role, p.Unfit), "journalctl -u director")
		}
		if p.Restarts > 0 {
			v.add(Note, nil, fmt.Sprintf("the %s process was started again %s; it ended last with: %s", p.Role, times(p.Restarts), orElse(p.LastExit, "no message")), "journalctl -u director")
		}
	}
	failures := func(list []control.Failure) {
		for _, f := range list {
			v.add(Broken, nil, fmt.Sprintf("%s fails since %s: %s", f.What, f.Since.Format("2006-01-02 15:04:05"), f.Error), "director status")
		}
	}
	if s.VRRP != nil {
		for _, in := range s.VRRP.Instances {
			path := []string{"vrrp_instance", in.Name}
			if in.State == "FAULT" {
				v.add(Broken, path, "the instance is in FAULT: "+in.Reason, "director status")
			}
			for _, a := range in.Addresses {
				if a.Error != "" {
					v.add(Broken, path, fmt.Sprintf("%s on %s: %s", a.Prefix, a.Device, a.Error), "director status")
				}
			}
			if in.VMAC != nil && in.VMAC.Error != "" {
				v.add(Broken, path, fmt.Sprintf("%s: %s", in.VMAC.Interface, in.VMAC.Error), "director status")
			}
		}
		for _, a := range s.VRRP.Alarms {
			severity := Unwise
			if a.Level == control.LevelAlarm {
				severity = Broken
			}
			v.add(severity, []string{"vrrp_instance", a.Instance}, "alarm "+a.Code+": "+a.Reason, alarmCure(a)...)
		}
		failures(s.VRRP.Failures)
	}
	if s.Checkers != nil {
		failures(s.Checkers.Failures)
		for _, f := range s.Checkers.Unwritten {
			v.add(Unwise, nil, fmt.Sprintf("%s cannot be written since %s: %s", f.What, f.Since.Format("2006-01-02 15:04:05"), f.Error), "df "+path.Dir(f.What)+"   # is there room? then: director status")
		}
		for _, vs := range s.Checkers.Services {
			path := []string{"virtual_server", vs.Name}
			if g := vs.PanicGuard; g != nil && g.Blocking {
				v.add(Broken, path, "alarm panic_guard: servers that are down stay in service", "director status")
			}
			if vs.NoVerdict != nil {
				v.add(Broken, path, "alarm no_verdict: checks of its servers cannot be made from here"+obstacle(&vs), "director status")
			}
			if vs.Expiring != nil {
				v.add(Unwise, path, "alarm certificate_ends: a certificate of its servers ends on "+vs.Expiring.At.UTC().Format("2006-01-02"), "director status")
			}
		}
		if n := s.Checkers.Repairs; n > 0 {
			severity := Note
			if n > manyRepairs {
				severity = Unwise
			}
			v.add(severity, nil, fmt.Sprintf("%d differences in the IPVS table were put right that somebody else had made: a program or a person writes to it", n), "director events   # says what was changed, and when")
		}
	}
	for _, c := range s.Notify {
		if c.Dropped > 0 {
			v.add(Unwise, []string{"notify", c.Channel}, fmt.Sprintf("%d notifications by %s were given up, the newest error: %s", c.Dropped, c.Channel, orElse(c.LastError, "none")), "director status")
		}
	}
}

// obstacle is what is in the way of the first server that cannot be checked.
func obstacle(vs *control.Service) string {
	for _, r := range slices.Concat(vs.Servers, vs.SorryServers) {
		if !r.Unchecked.IsZero() {
			return ": " + r.Obstacle
		}
	}
	return ""
}

// manyRepairs of the IPVS table are more than the work of a hand.
const manyRepairs = 5

// alarmCure is what finds the cause of an alarm, beyond what its text says.
func alarmCure(a control.Alarm) []string {
	switch {
	case strings.HasPrefix(a.Code, "peer_"), a.Code == "foreign_vrid", a.Code == "unknown_peer", a.Code == "several_owners", a.Code == "equal_priority":
		return []string{"director check --peer FILE   # FILE: a copy of the other host's configuration"}
	case a.Code == "foreign_mac", a.Code == "two_masters":
		return []string{
			"director doctor              # on the other host: does its firewall let adverts through?",
			"tcpdump -ni " + quote(a.Interface) + " vrrp        # do its adverts arrive here?",
		}
	}
	return []string{"director status"}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}
