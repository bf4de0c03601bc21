package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"director/internal/netlab"
)

// Options are how the demo is shown.
type Options struct {
	// Keep leaves the farm standing after the last act, until it is ended by ctx
	// or, where there is a terminal, by leaving a shell.
	Keep bool
	// Colour uses the terminal's colours.
	Colour bool
	// Width is the width of the screen in characters; 0 is 100.
	Width int
	// Stdout gets the timeline.
	Stdout io.Writer
	// Terminal is where a person types and reads, nil when there is none.
	Terminal *os.File
}

const defaultWidth = 110

// Run shows the demo. It needs nothing but root and the programs nginx, ipvsadm and
// ping; on a kernel without IPVS it also needs User Mode Linux, in which it then
// runs itself again. It touches none of the machine's own interfaces and leaves
// nothing behind, also when ctx ends it.
//
// The error is a *BrokenError when a promise was not kept, and ErrToldInside when the run
// inside User Mode Linux has failed and has said why.
func Run(ctx context.Context, o Options) error {
	if o.Width < 80 {
		o.Width = defaultWidth
	}
	for program, pkg := range map[string]string{"nginx": "nginx-light", "ipvsadm": "ipvsadm", "ping": "iputils-ping"} {
		if !installed(program) {
			return fmt.Errorf("demo: %s not found: install the Debian package %s (`make demo` does)", program, pkg)
		}
	}
	if os.Geteuid() != 0 || !netlab.HasIPVS() {
		if netlab.InUML() {
			return errors.New("demo: the kernel of User Mode Linux has no IPVS")
		}
		return inside(ctx, o)
	}
	return show(ctx, o)
}

// installed looks for a program also where the PATH of an ordinary user does not.
func installed(program string) bool {
	if _, err := exec.LookPath(program); err == nil {
		return true
	}
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if _, err := exec.LookPath(dir + program); err == nil {
			return true
		}
	}
	return false
}

// show plays on this very kernel.
func show(ctx context.Context, o Options) (err error) {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	p := &play{out: &timeline{w: o.Stdout, colour: o.Colour, width: o.Width}, began: time.Now()}
	p.out.text(intro()...)
	if p.farm, err = build(exe); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() { err = errors.Join(err, p.close()) }()
	if p.wire, err = p.lan.Capture(netlab.FilterVRRP); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	p.stalls = watchStalls(ctx)
	defer p.stalls.stop()

	p.perform(ctx)
	if ctx.Err() != nil {
		p.out.text("", "interrupted; everything is taken away again")
		return context.Cause(ctx)
	}
	err = p.report.err()
	p.out.text("")
	p.out.text(p.report.lines()...)
	colour := green
	if err != nil {
		colour = red
		p.out.text(p.logs()...)
	}
	p.out.text("", p.out.paint(bold+colour, p.report.verdict()))
	if o.Keep {
		err = errors.Join(err, p.keep(ctx, o))
	}
	return err
}

// intro tells what there is to be seen.
func intro() []string {
	return []string{
		"",
		"  client ──── gw ──┬── lb1   director, priority 150, 192.0.2.2      Clients ask for http://192.0.2.80/. That address",
		" 198.51.100.10     ├── lb2   director, priority 100, 192.0.2.3      is on one of the two directors, which hands each",
		"                   ├── web1  nginx, 192.0.2.11                      connection to a web server. The web servers answer",
		"                   └── web2  nginx, 192.0.2.12                      the client directly (direct routing, DR).",
		"",
		fmt.Sprintf("Each machine is a network namespace. The client sends %d requests a second, each on a connection of its own and only", time.Second/requestPeriod),
		fmt.Sprintf("once; one that is not answered within %v has failed. VRRP adverts come every %v, health checks every %v.", requestTimeout, advertInterval, checkInterval),
		"> is what is done, ✓ a promise that was checked and kept. Measured times may be longer than promised by " + ms(slackBase) + " and the",
		"time for which this machine was seen to stand still.",
	}
}
