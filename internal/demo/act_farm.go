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
	for _, d := range p.lb {
		if err := d.launch(); err != nil {
			return "", err
		}
	}
	p.say(done, "director is started on lb1 and lb2")
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

	p.load = p.client.LoadHTTP(ctx, url, requestPeriod, requestTimeout)
	from := time.Now()
	p.say(done, "the client begins: %d requests a second", time.Second/requestPeriod)
	if err := p.wait(ctx, steadyTime); err != nil {
		return "", err
	}
	owners := p.owners()
	p.promise(len(owners) == 1 && owners[0] == p.lb[0], "one director has the address, the one with the higher priority", "%s", names(owners))
	p.noFailure("no request fails in steady state", from)
	t := p.since(from)
	p.say(seen, "answered by web1 %d, by web2 %d, each in at most %s", t.byServer["web1"], t.byServer["web2"], ms(t.slowest))
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
	web, active := p.web[0], p.lb[0]
	died := time.Now()
	if err := web.stop(); err != nil {
		return "", err
	}
	p.say(done, "nginx on %s is stopped", web.Name())
	out, err := p.untilPool(ctx, active, -1, 1)
	if err != nil {
		return "", err
	}
	took := out.Sub(died)
	t := sum(startedIn(p.requests(), died.Add(-requestTimeout), out))
	p.say(seen, "%s is out of the pool", web.Name())
	limit := fall * checkInterval
	p.promise(took <= limit+p.slack(died), fmt.Sprintf("a dead server is out after %d failed checks, %s apart", fall, ms(checkInterval)),
		"%s of at most %s", ms(took), ms(limit))
	p.promise(t.failed <= t.ok+10, "until then it costs at most its share of the requests", "%d of %d failed", t.failed, t.failed+t.ok)
	if _, err := p.untilPool(ctx, p.lb[1], -1, 1); err != nil {
		return "", err
	}
	if err := p.wait(ctx, requestTimeout+checkInterval); err != nil {
		return "", err
	}
	p.onlyWhile("no request that was sent after that fails", died, out)

	back := time.Now()
	if err := web.start(); err != nil {
		return "", err
	}
	p.say(done, "nginx on %s is started again", web.Name())
	in, err := p.untilPool(ctx, active, 1, 1)
	if err != nil {
		return "", err
	}
	took = in.Sub(back)
	limit = rise * checkInterval
	p.promise(took <= limit+p.slack(back), fmt.Sprintf("it is in again after %d checks", rise), "%s of at most %s", ms(took), ms(limit))
	if _, err := p.untilPool(ctx, p.lb[1], 1, 1); err != nil {
		return "", err
	}
	if err := p.wait(ctx, time.Second); err != nil {
		return "", err
	}
	p.noFailure("its return costs no request", back)
	if n := p.since(in).byServer[web.Name()]; n == 0 {
		p.promise(false, "it gets requests again", "none")
	}
	return "", nil
}
