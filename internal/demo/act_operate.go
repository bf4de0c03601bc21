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
	for _, d := range p.lb {
		if err := d.configure(config(d, 1, 3)); err != nil {
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
	p.say(done, "web2 gets weight 3 in the files of lb1 and lb2, both are told to reload")
	if err := p.wait(ctx, shareTime); err != nil {
		return "", err
	}
	t := p.since(changed)
	share := 0
	if t.ok > 0 {
		share = 100 * t.byServer["web2"] / t.ok
	}
	p.promise(share >= 70 && share <= 80, "web2 gets three of four requests", "%d of %d, %d%%", t.byServer["web2"], t.ok, share)
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
	good := config(active, 1, 3)
	bad := strings.Replace(good, "weight  = 3", "weihgt  = 5", 1)
	line := 1 + strings.Count(bad[:strings.Index(bad, "weihgt")], "\n")
	if err := active.configure(bad); err != nil {
		return "", err
	}
	r, err := active.reload(ctx)
	if err != nil {
		return "", err
	}
	p.say(done, "lb1 is told to reload a file with an error: `weihgt = 5` in line %d", line)
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
	p.promise(before == after && generation == still, "and changes nothing", "the same table, still generation %d", still)
	if err := active.configure(good); err != nil {
		return "", err
	}
	if err := p.wait(ctx, requestTimeout/2); err != nil {
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
	p.say(done, "director on lb1 is told to stop (SIGTERM): it says good-bye with priority 0")
	if _, err := p.untilState(ctx, backup, vrrp.Master); err != nil {
		return "", err
	}
	p.say(seen, "lb2 is MASTER")
	took, due := first.Time.Sub(bye.Time), skewTime(backup)
	p.promise(took >= due-5*time.Millisecond && took <= due+p.slack(from), "lb2 takes over when its skew time is over",
		"%s after the good-bye, due after %s, %s", ms(took), ms(due), late(took-due))
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
	p.promise(code == 0 && table == "" && !old.holds(), "lb1 ends with status 0 and leaves nothing behind",
		"status %d, %s in its IPVS table, address on it: %t", code, count(strings.Count(table, "\n"), "line"), old.holds())
	if err := p.wait(ctx, requestTimeout+200*time.Millisecond); err != nil {
		return "", err
	}
	gap := p.gap(from)
	p.promise(gap <= due+requestPeriod+p.slack(from), "the client misses it for no longer than that", "%s without an answer", ms(gap))
	p.onlyWhile("only requests of that time fail", bye.Time.Add(-requestPeriod), first.Time)

	again := time.Now()
	if err := old.launch(); err != nil {
		return "", err
	}
	p.say(done, "director is started again on lb1")
	if _, err := p.comesBack(ctx, old, backup, again); err != nil {
		return "", err
	}
	return fmt.Sprintf("switch %s, RFC %s", ms(took), ms(due)), nil
}
