package examine

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"director/internal/doctor"
)

// modules finds out what the kernel has, and could load.
func (e *examination) modules() {
	m := &e.facts.Modules
	m.State = make(map[string]string)
	m.NoLoad = e.facts.Sysctl["kernel/modules_disabled"] == "1"
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Release = strings.TrimSpace(string(release))
	}
	m.IPVS = e.hasIPVS()
	loaded := make(map[string]bool)
	text, err := procLines("/proc/modules")
	for _, l := range text {
		name, _, _ := strings.Cut(l, " ")
		loaded[name] = true
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.unseen("loaded modules", err)
	}
	folder := filepath.Join(e.path("lib/modules"), m.Release)
	builtin, err := moduleList(filepath.Join(folder, "modules.builtin"))
	available, err2 := moduleList(filepath.Join(folder, "modules.dep"))
	if m.Known = err == nil && err2 == nil; !m.Known {
		e.unseen("modules that could be loaded", errors.Join(err, err2))
	}
	for _, name := range doctor.Needs(e.Config) {
		_, parameters := os.Stat("/sys/module/" + name)
		switch {
		case loaded[name]:
			m.State[name] = "loaded"
		case builtin[name] || parameters == nil:
			m.State[name] = "builtin"
		case available[name]:
			m.State[name] = "available"
		case m.Known:
			m.State[name] = "missing"
		}
	}
}

// moduleList reads the names of modules from a list of files, such as
// "kernel/net/netfilter/ipvs/ip_vs.ko.xz: ...".
func moduleList(name string) (map[string]bool, error) {
	text, err := lines(name)
	if err != nil {
		return nil, err
	}
	names := make(map[string]bool)
	for _, l := range text {
		file, _, _ := strings.Cut(l, ":")
		module, _, ok := strings.Cut(filepath.Base(file), ".ko")
		if ok {
			names[strings.ReplaceAll(module, "-", "_")] = true
		}
	}
	return names, nil
}

// concerned are the programs that doctor knows.
var concerned = []string{"keepalived", "ldirectord", "kube-proxy", "kube-router", "ucarp", "vrrpd", "seesaw_ha", "seesaw_ncc", "director", "systemd-network"}

// processes lists the running programs that concern director.
func (e *examination) processes() {
	folders, err := os.ReadDir("/proc")
	if err != nil {
		e.unseen("running programs", err)
		return
	}
	here, _ := os.Readlink("/proc/thread-self/ns/net")
	for _, f := range folders {
		pid, err := strconv.Atoi(f.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, ok := readProcess(pid, here)
		if !ok {
			continue
		}
		if p.Name == "systemd-network" {
			e.facts.Networkd.Runs = e.facts.Networkd.Runs || !p.Other
			continue
		}
		e.facts.Processes = append(e.facts.Processes, p)
	}
}

// readProcess describes a process, false: it does not matter or is gone. Perl's
// ldirectord is known by its arguments alone. Of keepalived and its children only the
// parent is told.
func readProcess(pid int, here string) (p doctor.Process, ok bool) {
	folder := filepath.Join("/proc", strconv.Itoa(pid))
	comm, err := os.ReadFile(filepath.Join(folder, "comm"))
	line, err2 := os.ReadFile(filepath.Join(folder, "cmdline"))
	if err != nil || err2 != nil {
		return p, false
	}
	p = doctor.Process{PID: pid, Name: strings.TrimSpace(string(comm)), Args: strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")}
	isLdirectord := slices.ContainsFunc(p.Args[:min(3, len(p.Args))], func(a string) bool { return filepath.Base(a) == "ldirectord" })
	if !slices.Contains(concerned, p.Name) && !isLdirectord {
		return p, false
	}
	if p.Name == "director" && (len(p.Args) < 2 || p.Args[1] != "run") {
		return p, false // a child, or a command like this one
	}
	if p.Name == "keepalived" && nameOf(parentOf(folder)) == "keepalived" {
		return p, false
	}
	there, err := os.Readlink(filepath.Join(folder, "ns/net"))
	p.Sure = err == nil && here != "" && there == here
	p.Other = err == nil && here != "" && there != here
	return p, true
}

// parentOf returns the folder of a process's parent, empty when it is not known.
func parentOf(folder string) string {
	text, err := procLines(filepath.Join(folder, "status"))
	if err != nil {
		return ""
	}
	for _, l := range text {
		if pid, ok := strings.CutPrefix(l, "PPid:"); ok {
			return filepath.Join("/proc", strings.TrimSpace(pid))
		}
	}
	return ""
}

func nameOf(folder string) string {
	comm, _ := os.ReadFile(filepath.Join(folder, "comm"))
	return strings.TrimSpace(string(comm))
}
