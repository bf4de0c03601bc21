package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Bfdd is FRR's BFD daemon on a host, with the zebra that it needs.
type Bfdd struct {
	*Process // bfdd
	frr      *FRR
}

// Bfdd starts zebra, which knows the interfaces, and bfdd with the given configuration. All of their files are below the host's
// folder, and they answer over sockets there.
func (h *Host) Bfdd(conf string) (*Bfdd, error) {
	f := &FRR{host: h, dir: h.Path("frr")}
	if err := f.folder(); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"zebra.conf": "", "bfdd.conf": conf} {
		if err := os.WriteFile(filepath.Join(f.dir, name), []byte("log stdout\n"+text), 0o644); err != nil {
			return nil, err
		}
	}
	var err error
	if f.zebra, err = f.daemon("zebra"); err != nil {
		return nil, err
	}
	if err := f.zebra.ready(func() error { _, err := os.Stat(filepath.Join(f.dir, "zserv")); return err }); err != nil {
		return nil, err
	}
	b := &Bfdd{frr: f}
	if b.Process, err = f.daemon("bfdd"); err != nil {
		return nil, err
	}
	return b, b.ready(func() error { _, err := b.Show("show version"); return err })
}

// Show runs a command of bfdd's and returns what it prints.
func (b *Bfdd) Show(command string) (string, error) {
	return b.host.Run("vtysh", "--vty_socket", b.frr.dir, "-d", "bfdd", "-c", command)
}

// Stop ends both daemons.
func (b *Bfdd) Stop(limit time.Duration) error {
	return errors.Join(b.Process.Stop(limit), b.frr.zebra.Stop(limit))
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
	err := EventuallyWithin(startTimeout, func() error {
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
