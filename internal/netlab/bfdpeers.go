package netlab

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"time"
)

// FRR is FRR's zebra and bfdd on a host, with sockets of their own.
type FRR struct {
	*Process // bfdd
	Zebra    *Process
}

// frrDaemons is where Debian keeps FRR's daemons.
const frrDaemons = "/usr/lib/frr/"

// FRR starts zebra, which knows the interfaces, and bfdd with the given configuration. All of their files are below the host's
// folder frr.
func (h *Host) FRR(conf string) (*FRR, error) {
	dir := h.Path("frr")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := giveTo("frr", dir); err != nil { // the daemons insist on users of their own
		return nil, err
	}
	start := func(daemon, conf string) (*Process, error) {
		path, err := h.WriteFile("frr/"+daemon+".conf", conf)
		if err != nil {
			return nil, err
		}
		return h.Start(daemon, frrDaemons+daemon, "-f", path, "-i", dir+"/"+daemon+".pid", "-z", dir+"/zserv.api",
			"--vty_socket", dir, "-P", "0", "--log", "stdout")
	}
	f := new(FRR)
	var err error
	if f.Zebra, err = start("zebra", "log stdout\n"); err != nil {
		return nil, err
	}
	if err := f.Zebra.ready(func() error { _, err := os.Stat(dir + "/zserv.api"); return err }); err != nil {
		return nil, err
	}
	if f.Process, err = start("bfdd", "log stdout\n"+conf); err != nil {
		return nil, err
	}
	return f, f.Process.ready(func() error { _, err := f.Show("show version"); return err })
}

// giveTo makes a user the owner of a folder below those that others may not enter.
func giveTo(name, dir string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(dir, uid, gid)
}

// Show runs a command of bfdd's and returns what it prints.
func (f *FRR) Show(command string) (string, error) {
	return f.host.Run("vtysh", "--vty_socket", f.host.Path("frr"), "-d", "bfdd", "-c", command)
}

// Stop ends both daemons.
func (f *FRR) Stop(limit time.Duration) error {
	if err := f.Process.Stop(limit); err != nil {
		return err
	}
	return f.Zebra.Stop(limit)
}

// Bird is a BIRD on a host.
type Bird struct {
	*Process
}

// Bird starts BIRD with the given configuration, with a control socket in the host's folder.
func (h *Host) Bird(conf string) (*Bird, error) {
	path, err := h.WriteFile("bird.conf", conf)
	if err != nil {
		return nil, err
	}
	bird, err := exec.LookPath("bird")
	if err != nil {
		bird = "/usr/sbin/bird" // not in everybody's path
	}
	b := new(Bird)
	if b.Process, err = h.Start("bird", bird, "-f", "-c", path, "-s", h.Path("bird.ctl"), "-P", h.Path("bird.pid")); err != nil {
		return nil, err
	}
	return b, b.ready(func() error { _, err := b.Show("show status"); return err })
}

// Show runs a command of BIRD's and returns what it prints.
func (b *Bird) Show(command string) (string, error) {
	birdc, err := exec.LookPath("birdc")
	if err != nil {
		birdc = "/usr/sbin/birdc"
	}
	return b.host.Run(append([]string{birdc, "-s", b.host.Path("bird.ctl")}, strings.Fields(command)...)...)
}

// ready waits until a daemon answers.
func (p *Process) ready(answers func() error) error {
	var ended error
	err := EventuallyWithin(10*time.Second, func() error {
		if !p.Running() {
			ended = fmt.Errorf("%s: %s ended: %s", p.host.name, p.name, p.Log())
			return nil
		}
		return answers()
	})
	if ended != nil {
		return ended
	}
	return err
}
