package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"director/vrrp"
)

// steadyTime is how long the steady state is looked at.
const steadyTime = 3 * time.Second

// start starts both directors, then the client's requests.
func (p *play) start(ctx context.Context) (string, error) {
	p.say(done, "director is started on lb1 and lb2")
	for _, d := range p.lb {
		if err := d.launch(); err != nil {
			return "", err
		}
	}
	for i, state := range []vrrp.State{vrrp.Master, vrrp.Backup} {
		d := p.lb[i]
		reason, err := p.untilState(ctx, d, state)
		if err != nil {
			return "", err
		}
		p.say(seen, "%s is %s: %s", d.Name(), state, reason)
	}
	for _, d := range p.lb {
		if _, err := p.untilPool(ctx, d, 1, 1); err != nil {
			return "", err
		}
	}
	p.say(seen, "both have both web servers in the kernel's table")
	if err := p.processes(ctx); err != nil {
		return "", err
	}

	p.say(done, "the client begins: %d requests a second", time.Second/requestPeriod)
	p.load = p.client.LoadHTTP(ctx, pageURL, requestPeriod, requestTimeout)
	from := time.Now()
	if err := p.wait(ctx, steadyTime); err != nil {
		return "", err
	}
	owners := p.owners()
	p.promise(len(owners) == 1 && owners[0] == p.lb[0], "one director has the address, that with the higher priority", "%s", names(owners))
	p.noFailure("no request fails", from)
	t := p.since(from)
	p.say(seen, "answered by web1: %d, by web2: %d, the slowest in %s", t.byServer["web1"], t.byServer["web2"], ms(t.slowest))
	return "", nil
}

// processes shows what runs on lb1.
func (p *play) processes(ctx context.Context) error {
	s, err := p.lb[0].status(ctx)
	if err != nil {
		return err
	}
	var words []string
	for _, c := range s.Processes {
		words = append(words, fmt.Sprintf("%s (pid %d)", c.Role, c.PID))
	}
	p.say(seen, "processes on lb1: %s", strings.Join(words, ", "))
	return nil
}

// names lists directors.
func names(list []*director) string {
	if len(list) == 0 {
		return "nobody"
	}
	words := make([]string, len(list))
	for i, d := range list {
		words[i] = d.Name()
	}
	return strings.Join(words, " and ")
}

// serverDies stops a web server and starts it again.
func (p *play) serverDies(ctx context.Context) (string, error) {
	web, active, other := p.web[0], p.lb[0], p.lb[1]
	p.say(done, "nginx on %s is stopped", web.Name())
	died := time.Now()
	if err := web.stop(); err != nil {
		return "", err
	}
	out, err := p.untilPool(ctx, active, -1, 1)
	if err != nil {
		return "", err
	}
	took, limit := out.Sub(died), fall*checkInterval
	note := fmt.Sprintf("out after %s", ms(took))
	p.promise(took <= limit+p.slack(died), fmt.Sprintf("%s is out of the pool after %d failed checks", web.Name(), fall),
		"%s of at most %s", ms(took), ms(limit))
	t := sum(endedIn(p.requests(), died, out))
	p.promise(t.failed <= t.ok+5, "until then its share of the requests fails, no more", "%d of %d", t.failed, t.failed+t.ok)
	if _, err := p.untilPool(ctx, other, -1, 1); err != nil {
		return "", err
	}
	if err := p.settle(ctx); err != nil {
		return "", err
	}
	p.onlyWhile("no request that is sent after that fails", died, out)

	p.say(done, "nginx on %s is started again", web.Name())
	if err := web.start(); err != nil {
		return "", err
	}
	back := time.Now() // it answers: what nginx needs for its start is no matter of director
	in, err := p.untilPool(ctx, active, 1, 1)
	if err != nil {
		return "", err
	}
	took, limit = in.Sub(back), rise*checkInterval
	p.promise(took <= limit+p.slack(back), fmt.Sprintf("it is in again after %d good checks", rise), "%s of at most %s", ms(took), ms(limit))
	if _, err := p.untilPool(ctx, other, 1, 1); err != nil {
		return "", err
	}
	if err := p.wait(ctx, time.Second); err != nil {
		return "", err
	}
	p.noFailure("its return costs no request", back)
	n := p.since(in).byServer[web.Name()]
	p.promise(n > 0, "it gets requests again", "%d", n)
	return fmt.Sprintf("%s, in after %s", note, ms(took)), nil
}
