package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"director/internal/netlab"
	"director/internal/watchdog"
)

// logLines is how much of a director's log is shown when a promise was not kept.
const logLines = 60

// logs is the end of what each director has written.
func (p *play) logs() []string {
	var out []string
	for _, d := range p.lb {
		if d.proc == nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(d.proc.Log()), "\n")
		out = append(out, "", fmt.Sprintf("the last lines of the log of %s (%s):", d.Name(), d.proc.LogPath()))
		for _, l := range lines[max(0, len(lines)-logLines):] {
			out = append(out, "  "+l)
		}
	}
	return out
}

// keep leaves the farm standing: in User Mode Linux, where nobody else can look into
// it, until a shell is left, else until ctx ends. The requests go on.
func (p *play) keep(ctx context.Context, o Options, ok bool) error {
	if err := leaveVerdict(ok); err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go p.goOn(ctx)
	p.out.text(p.guide(ctx)...)
	if !netlab.InUML() || o.Terminal == nil {
		if netlab.InUML() {
			p.out.text("", "These commands are for the demo's own kernel, which only its terminal reaches, and it was started without one.")
		}
		p.out.text("", "Everything stands until Ctrl-C or SIGTERM.")
		<-ctx.Done()
		return nil
	}
	p.out.text("", "This is a shell on the demo's kernel. Leave it (exit, Ctrl-D), and everything is gone.")
	adoptSize(o.Terminal)
	name := "bash"
	args := []string{"--norc", "--noprofile", "-i"}
	if !installed(name) {
		name, args = "sh", []string{"-i"}
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = o.Terminal, o.Terminal, o.Terminal
	cmd.Dir = p.lab.Dir()
	cmd.Env = append(os.Environ(), "PS1=demo# ", "PATH="+filepath.Dir(p.exe)+":"+os.Getenv("PATH"))
	err := cmd.Run()
	var ended *exec.ExitError // the status of the last command that was typed
	if err != nil && !errors.As(err, &ended) && ctx.Err() == nil {
		return fmt.Errorf("demo: shell: %w", err)
	}
	return nil
}

// goOn keeps the requests coming until ctx ends. What a load and a capture remember of
// the past is dropped now and then.
func (p *play) goOn(ctx context.Context) {
	_ = p.wire.Close() // nobody reads it any more
	if p.load == nil {
		return // the first act did not get as far
	}
	for p.load.Stop(); ctx.Err() == nil; p.load.Stop() {
		p.load = p.client.LoadHTTP(ctx, pageURL, requestPeriod, requestTimeout)
		_ = p.wait(ctx, 10*time.Minute)
	}
}

// guide tells how to look around in the farm.
func (p *play) guide(ctx context.Context) []string {
	d := p.lb[0]
	on := "ip netns exec " + d.Namespace() + " "
	lines := []string{
		"",
		"Look around; on lb2, web1, web2, gw and client likewise:",
		"  " + p.exe + " status --runtime-dir " + d.runtimeDir(),
		"  " + on + "ipvsadm -Ln --stats",
		"  " + on + "ip address show dev eth0",
		"  " + on + "tcpdump -ni eth0 vrrp",
		"  ip netns exec " + p.gw.Namespace() + " ip neighbour show " + vipText,
		"  ip netns exec " + p.client.Namespace() + " curl -s " + pageURL,
		"  tail -f " + d.Path("director.log"),
		"and play yourself:",
		"  " + on + "ip link set eth0 down",
		"  $EDITOR " + d.configPath() + "; " + p.exe + " reload --runtime-dir " + d.runtimeDir(),
	}
	if c, err := d.process(ctx, watchdog.RoleVRRP); err == nil && c.PID > 0 {
		lines = append(lines, fmt.Sprintf("  kill -9 %d  # `%s` on lb1", c.PID, watchdog.RoleVRRP.Title()))
	}
	return lines
}
