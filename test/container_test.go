package test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"director/internal/netlab"
)

// As the first process of a container director collects what scripts leave behind, passes signals on, and lets the children
// of a daemon that was killed hand the address over before everything ends.
func TestFirstProcess(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	over := p.a.Path("over") // ends what the script leaves behind
	script, err := p.a.WriteFile("notify.sh", "#!/bin/sh\nsetsid sh -c 'while [ ! -e "+over+" ]; do sleep 0.1; done' &\n")
	p.Must(err)
	conf := vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, "notify = { all = \""+script+"\" }")
	start := func() (d *director, first int) {
		t.Helper()
		d = &director{t: t, host: p.a, configPath: p.a.Path("director.toml"), runtimeDir: p.a.Path("run")}
		d.WriteConfig(conf)
		d.Process, err = p.a.StartEnv("container", nil, append([]string{"unshare", "--pid", "--fork", "--mount-proc"}, d.argv("run", "-c", d.ConfigPath())...)...)
		p.Must(err)
		d.WaitReady()
		d.WaitInstance("VI_1", "MASTER", patience)
		return d, children(t, d.Process.Pid())[0]
	}
	d, first := start()
	p.Within(patience, "a script left something behind", func() bool { return len(children(t, first)) > 1 })
	p.Must(os.WriteFile(over, nil, 0o644))
	p.Within(patience, "it is collected", func() bool { return len(children(t, first)) == 1 })
	daemon := children(t, first)[0]
	p.cap.Reset()
	p.Must(syscall.Kill(daemon, syscall.SIGKILL))
	if status, err := d.Process.Wait(patience); err != nil || status != 128+9 {
		t.Errorf("the daemon was killed: exit status %d, %v", status, err)
	}
	if p.a.HasAddr(vip) {
		t.Error("the address stays after the daemon was killed")
	}
	_, err = p.cap.WaitAdvert(patience, func(a netlab.Advert) bool { return a.Priority == 0 })
	p.Must(err)

	d, first = start()
	p.Must(syscall.Kill(first, syscall.SIGTERM))
	if status, err := d.Process.Wait(patience); err != nil || status != 0 {
		t.Errorf("stopped: exit status %d, %v", status, err)
	}
	if p.a.HasAddr(vip) {
		t.Error("the address stays after the stop")
	}
}

// children lists the children of a process, the dead that nobody has collected included.
func children(t *testing.T, pid int) (list []int) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // each has its own
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(text)) {
			n, _ := strconv.Atoi(f)
			list = append(list, n)
		}
	}
	return list
}
