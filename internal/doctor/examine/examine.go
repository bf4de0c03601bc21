// Package examine reads from a host what package doctor wants to know of it. It
// changes nothing: no module is loaded, and no packet is sent unless Options say so.
//
// Everything is of the network namespace of the calling thread; where the host keeps
// one for a process, as below /proc, the calling thread's is read. What an ordinary
// user may not see is left out and told as unseen.
package examine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/control"
	"director/internal/doctor"
	"director/ipvs/kernel"
)

// Options says what is examined.
type Options struct {
	Config     *config.Config
	ConfigPath string
	RuntimeDir string
	Socket     string          // the control socket
	Daemon     *control.Status // nil: no daemon answers
	// Probe asks on the links who has the virtual addresses. Then the whole process has
	// to be in one network namespace, not the calling thread alone.
	Probe bool
	// Root is the folder that stands for /etc, /lib and the like of the host; empty: /.
	Root string
}

// examination is one in progress.
type examination struct {
	Options
	facts *doctor.Facts
}

// Host reads the facts. It never fails: what it could not see is among them.
func Host(o Options) *doctor.Facts {
	if o.Root == "" {
		o.Root = "/"
	}
	e := &examination{Options: o, facts: &doctor.Facts{Daemon: o.Daemon}}
	e.network()
	e.processes()
	e.listeners()
	e.files()
	e.clock()
	e.machine()
	e.runtimeDir()
	e.daemon()
	if e.Probe {
		e.probe()
	}
	return e.facts
}

// Farm reads from the network namespace of a file such as /run/netns/lvs what matters
// to IPVS there.
func Farm(o Options, namespace string) (*doctor.Facts, error) {
	e := &examination{Options: o, facts: &doctor.Facts{}}
	if err := kernel.InNamespace(namespace, e.network); err != nil {
		return nil, err
	}
	return e.facts, nil
}

// network reads what belongs to the network namespace of the calling thread.
func (e *examination) network() {
	e.links()
	e.ways()
	e.sysctls()
	e.modules()
	e.services()
	e.firewall()
}

// unseen records what could not be looked at. What is simply not there was looked at.
func (e *examination) unseen(what string, err error) {
	why := err.Error()
	if errors.Is(err, fs.ErrPermission) {
		why += " (root may)"
	}
	e.facts.Unseen = append(e.facts.Unseen, doctor.Unseen{What: what, Why: why})
}

// path returns where a file of the host is.
func (e *examination) path(name string) string { return filepath.Join(e.Root, name) }

// lines returns the lines of a file of at most a mebibyte, none when it cannot be read.
func lines(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	const most = 1 << 20
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return strings.Split(string(text), "\n"), nil
}

// globalSettings are read as they are.
var globalSettings = []string{
	"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv4/ip_nonlocal_bind", "net/ipv6/ip_nonlocal_bind",
	"net/ipv4/vs/expire_nodest_conn", "net/ipv4/vs/expire_quiescent_template", "net/ipv4/vs/sloppy_tcp",
	"net/ipv4/vs/conntrack", "net/ipv4/vs/snat_reroute", "net/ipv4/vs/conn_reuse_mode",
	"net/ipv4/vs/backup_only", "net/ipv4/vs/sync_threshold", "net/ipv4/vs/sync_refresh_period", "net/ipv4/vs/sync_version",
	"net/netfilter/nf_conntrack_count", "net/netfilter/nf_conntrack_max",
	"kernel/sched_rt_runtime_us", "kernel/modules_disabled",
}

// interfaceSettings are read for all and for each interface.
var interfaceSettings = map[string][]string{
	"ipv4": {"rp_filter", "send_redirects", "arp_ignore", "arp_announce", "promote_secondaries", "accept_local"},
	"ipv6": {"disable_ipv6", "accept_ra"},
}

// sysctls reads the kernel's settings. /proc/sys/net is that of the thread which opens
// it.
func (e *examination) sysctls() {
	e.facts.Sysctl = make(map[string]string)
	read := func(name string) {
		text, err := os.ReadFile("/proc/sys/" + name)
		switch {
		case err == nil:
			e.facts.Sysctl[name] = strings.TrimSpace(string(text))
		case !errors.Is(err, fs.ErrNotExist):
			e.unseen("setting "+name, err)
		}
	}
	for _, name := range globalSettings {
		read(name)
	}
	for family, names := range interfaceSettings {
		for _, name := range names {
			read("net/" + family + "/conf/all/" + name)
			for _, l := range e.facts.Links {
				read("net/" + family + "/conf/" + l.Name + "/" + name)
			}
		}
	}
}

// clock asks the kernel whether its clock is kept right, which NTP daemons tell it.
func (e *examination) clock() {
	var t unix.Timex // no modes: a question
	state, err := unix.Adjtimex(&t)
	if err != nil {
		e.unseen("the clock", err)
		return
	}
	const unsynchronised = 5 // TIME_ERROR, adjtimex(2)
	e.facts.ClockKnown = true
	e.facts.ClockSynchronised = state != unsynchronised && t.Status&unix.STA_UNSYNC == 0
}

// machine finds out whether this is a virtual one: on x86 the kernel knows from the
// processor, and the firmware tells by whom.
func (e *examination) machine() {
	info, err := procLines("/proc/cpuinfo")
	if err != nil {
		return
	}
	virtual := false
	for _, l := range info {
		if flags, ok := strings.CutPrefix(l, "flags"); ok && strings.Contains(flags+" ", " hypervisor ") {
			virtual = true
		}
	}
	if !virtual {
		return
	}
	vendor, err := os.ReadFile(e.path("sys/class/dmi/id/sys_vendor"))
	if e.facts.Virtual = strings.TrimSpace(string(vendor)); err != nil || e.facts.Virtual == "" {
		e.facts.Virtual = "an unknown maker"
	}
}

// procLines is lines for the files of /proc, whose sizes are not known.
func procLines(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return strings.Split(string(text), "\n"), nil
}
