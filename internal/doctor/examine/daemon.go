package examine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
)

// hasIPVS asks for the list of what the kernel has: a question for IPVS itself would
// have it loaded.
func (e *examination) hasIPVS() bool {
	families, err := netlink.GenlFamilyList()
	if err != nil {
		e.unseen("whether the kernel has IPVS", err)
		return false
	}
	for _, f := range families {
		if f.Name == "IPVS" {
			return true
		}
	}
	return false
}

// daemon looks at the processes of the daemon that answered.
func (e *examination) daemon() {
	if e.Daemon == nil {
		return
	}
	e.facts.OtherConfig = !sameFile(e.Daemon.ConfigPath, e.ConfigPath)
	pid := 0
	for _, p := range e.Daemon.Processes {
		if p.Role == "parent" {
			pid = p.PID
		}
	}
	folder := filepath.Join("/proc", strconv.Itoa(pid))
	text, err := procLines(filepath.Join(folder, "status"))
	if err != nil {
		e.unseen("the daemon's process", err)
		e.facts.DaemonCaps = ^uint64(0) // not known: nothing is said
		return
	}
	for _, l := range text {
		if digits, ok := strings.CutPrefix(l, "CapEff:"); ok {
			e.facts.DaemonCaps, _ = strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
		}
	}
	if unit := unitOf(folder); unit != "" {
		e.unit(unit)
	}
}

func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	second, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(first, second)
}

// unitOf returns the systemd service that a process runs in, from its control group.
func unitOf(folder string) string {
	text, err := procLines(filepath.Join(folder, "cgroup"))
	if err != nil {
		return ""
	}
	for _, l := range text {
		_, group, _ := strings.Cut(strings.TrimPrefix(l, "0::"), ":")
		if group == "" {
			group = strings.TrimPrefix(l, "0::")
		}
		for name := group; name != "/" && name != "." && name != ""; name = filepath.Dir(name) {
			if base := filepath.Base(name); strings.HasSuffix(base, ".service") && strings.Contains(base, "director") {
				return base
			}
		}
	}
	return ""
}

// unit asks systemd for the properties that matter.
func (e *examination) unit(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--no-pager", name, "--property", "Id,KillMode,RuntimeDirectory,RuntimeDirectoryPreserve").Output()
	if err != nil {
		e.unseen("the unit "+name, err)
		return
	}
	e.facts.Unit = properties(string(out))
}

// properties reads lines of the form NAME=VALUE.
func properties(text string) map[string]string {
	all := make(map[string]string)
	for _, l := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(l, "="); ok {
			all[name] = value
		}
	}
	return all
}
