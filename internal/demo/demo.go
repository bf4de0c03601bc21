package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"director/internal/colour"
	"director/internal/netlab"
)

// Options are how the demo is shown.
type Options struct {
	// Keep leaves the machines standing after the last act: where there is a
	// terminal and nobody else can look into them, until a shell on it is left,
	// else until ctx ends.
	Keep bool
	// Colour uses the terminal's colours.
	Colour bool
	// Width is the width of the screen in characters; less than 80 is taken for 120.
	Width int
	// Stdout gets the timeline.
	Stdout io.Writer
	// Terminal is where a person types and reads, nil when there is none.
	Terminal *os.File
}

// ErrInterrupted says that ctx has ended the demo before its last act.
var ErrInterrupted = errors.New("demo: interrupted; nothing is left behind")

// Run shows the demo. It needs root and the programs nginx, ipvsadm and ping; without
// root, and on a kernel without IPVS, it needs User Mode Linux instead, and runs
// itself again in that. It touches none of the machine's own interfaces
// and leaves nothing behind, also when ctx ends it.
//
// The error is a *BrokenError when a promise was not kept, ErrInterrupted when ctx has
// ended it, and an *InsideError when the run inside User Mode Linux has failed and
// has said why.
func Run(ctx context.Context, o Options) error {
	if o.Width < 80 {
		o.Width = 120
	}
	for _, p := range [...]struct{ program, pkg string }{{"nginx", "nginx-light"}, {"ipvsadm", "ipvsadm"}, {"ping", "iputils-ping"}} {
		if !installed(p.program) {
			return fmt.Errorf("demo: %s not found: install the Debian package %s, as `make demo` does", p.program, p.pkg)
		}
	}
	switch {
	case os.Geteuid() == 0 && netlab.HasIPVS():
		return show(ctx, o)
	case netlab.InUML():
		return errors.New("demo: the kernel of User Mode Linux has no IPVS")
	}
	return inside(ctx, o)
}

// installed looks for a program also where the PATH of an ordinary user does not.
func installed(program string) bool {
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
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
	p := &play{out: &timeline{w: o.Stdout, colours: o.Colour, width: o.Width}, began: time.Now()}
	p.out.intro()
	if p.farm, err = build(exe); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer func() {
		if cerr := p.close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("demo: clean up: %w", cerr))
		}
	}()
	if p.wire, err = p.lan.Capture(netlab.FilterVRRP); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	watching, enough := context.WithCancel(ctx)
	defer enough()
	p.stalls = netlab.WatchStalls(watching)
	p.perform(ctx)
	enough()
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	err = p.report.err()
	st := colour.Good
	if err != nil {
		st = colour.Bad
		p.out.text(p.logs()...)
	}
	p.out.text("")
	p.out.text(p.report.lines()...)
	p.out.text("", p.out.paint(st.Strong(), p.report.verdict()))
	if o.Keep {
		err = errors.Join(err, p.keep(ctx, o, err == nil))
	}
	return err
}

// intro tells what there is to be seen.
func (t *timeline) intro() {
	t.text(fmt.Sprintf(`
  client ──── gw ──┬── lb1   192.0.2.2   director, priority %d
  198.51.100.10    ├── lb2   192.0.2.3   director, priority %d
                   ├── web1  192.0.2.11  nginx
                   └── web2  192.0.2.12  nginx
`, highPriority, lowPriority))
	for _, s := range []string{
		fmt.Sprintf("The client asks for %s. One of the two directors has that address and hands each connection to one of the web servers, "+
			"which answers the client directly (DR, direct routing). Each machine is a network namespace.", pageURL),
		fmt.Sprintf("There are %d requests a second, each on a connection of its own and never repeated; one without an answer within %s has "+
			"failed. VRRP adverts come every %s, health checks every %s.", time.Second/requestPeriod, ms(requestTimeout), ms(advertInterval), ms(checkInterval)),
		fmt.Sprintf("> is what is done; ✓ is what director promises, checked and kept. What is measured may be %s more than promised, and as much "+
			"more as this machine was seen to stand still.", ms(slackBase)),
	} {
		t.text(wrap(s, t.width-1)...)
	}
}
