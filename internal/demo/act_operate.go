package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"director/vrrp"
)

// shareTime is how long requests are counted after the weights have changed.
const shareTime = 1500 * time.Millisecond

// reloads changes the configuration of both directors under load, then tries to
// put a wrong one in force.
func (p *play) reloads(ctx context.Context) (string, error) {
	from, active := time.Now(), p.lb[0]
	p.say(done, "web2 gets weight 3 in the files of lb1 and lb2, which are told to reload")
	for _, d := range p.lb {
		if err := d.configure(d.configuration(1, 3)); err != nil {
			return "", err
		}
		r, err := d.reload(ctx)
		if err != nil {
			return "", err
		}
		if !r.OK {
			return "", fmt.Errorf("%s refuses a valid configuration: %s", d.Name(), strings.Join(r.Errors, "; "))
		}
	}
	changed, err := p.untilPool(ctx, active, 1, 3)
	if err != nil {
		return "", err
	}
	p.say(seen, "the new configuration is in force")
	if err := p.wait(ctx, shareTime); err != nil {
		return "", err
	}
	t := p.since(changed)
	share := 0
	if t.ok > 0 {
		share = 100 * t.byServer["web2"] / t.ok
	}
	// A client that comes again from a port that the kernel remembers is sent to the
	// same server as before, so that this is not quite exact.
	p.promise(share >= 60 && share <= 90, "web2 gets about three of four requests", "%d of %d", t.byServer["web2"], t.ok)
	owners := p.owners()
	p.promise(len(owners) == 1 && owners[0] == active, "the address stays where it is", "%s has it", names(owners))

	before, err := active.ipvsadm()
	if err != nil {
		return "", err
	}
	generation, err := p.generation(ctx)
	if err != nil {
		return "", err
	}
	good := active.configuration(1, 3)
	bad := strings.Replace(good, "weight  = 3", "weihgt  = 5", 1)
	line := 1 + strings.Count(bad[:strings.Index(bad, "weihgt")], "\n")
	if err := active.configure(bad); err != nil {
		return "", err
	}
	p.say(done, "lb1 is told to reload a file with an error, `weihgt = 5` in line %d", line)
	r, err := active.reload(ctx)
	if err != nil {
		return "", err
	}
	answer := strings.ReplaceAll(strings.Join(r.Errors, "; "), active.configPath(), "director.toml")
	p.promise(!r.OK && len(r.Errors) == 1 && strings.HasPrefix(r.Errors[0], fmt.Sprintf("%s:%d:", active.configPath(), line)),
		"it is refused, with its line", "%s", answer)
	after, err := active.ipvsadm()
	if err != nil {
		return "", err
	}
	still, err := p.generation(ctx)
	if err != nil {
		return "", err
	}
	p.promise(before == after && generation == still, "and changes nothing", "ipvsadm -Sn as before, still generation %d", still)
	if err := active.configure(good); err != nil {
		return "", err
	}
	if err := p.settle(ctx); err != nil {
		return "", err
	}
	p.noFailure("no request fails", from)
	return "", nil
}

// generation is the number of the configuration in force on lb1.
func (p *play) generation(ctx context.Context) (uint64, error) {
	s, err := p.lb[0].status(ctx)
	if err != nil {
		return 0, err
	}
	return s.Generation, nil
}

// stops stops the active director as systemd does, and starts it again.
func (p *play) stops(ctx context.Context) (string, error) {
	old, backup := p.lb[0], p.lb[1]
	p.say(done, "director on lb1 is told to stop (SIGTERM)")
	from := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- old.proc.Stop(10 * time.Second) }()
	bye, err := p.firstAdvert(ctx, old, from, true)
	if err != nil {
		return "", err
	}
	first, err := p.firstAdvert(ctx, backup, bye.Time, false)
	if err != nil {
		return "", err
	}
	if _, err := p.untilState(ctx, backup, vrrp.Master); err != nil {
		return "", err
	}
	p.say(seen, "lb1 has said good-bye (priority 0), lb2 is MASTER")
	note := p.onTime("lb2 takes over when its skew time is over", "the good-bye", first.Time.Sub(bye.Time), skewTime(backup), from)
	if err := <-stopped; err != nil {
		return "", err
	}
	code, err := old.proc.Wait(time.Second)
	if err != nil {
		return "", err
	}
	table, err := old.ipvsadm()
	if err != nil {
		return "", err
	}
	p.promise(code == 0 && table == "" && !old.holds(), "lb1 leaves nothing behind",
		"exit status %d, %s in the IPVS table, the address is %s", code, count(strings.Count(table, "\n"), "line"), map[bool]string{true: "still there", false: "gone"}[old.holds()])
	if err := p.settle(ctx); err != nil {
		return "", err
	}
	p.pause(skewTime(backup), from)
	p.onlyWhile("only requests of that time fail", bye.Time, first.Time)

	p.say(done, "director is started again on lb1")
	again := time.Now()
	if err := old.launch(); err != nil {
		return "", err
	}
	back, err := p.takenBack(ctx, old, backup, again)
	if err != nil {
		return "", err
	}
	return note + ", " + back, nil
}
