package test

import (
	"fmt"
	"testing"
	"time"
)

// recoveryInterval is how often the web servers are asked.
const recoveryInterval = 500 * time.Millisecond

// testRecovery has web servers answer with an error and then well again, one behind director and one behind keepalived. keepalived asks a
// server that has failed every delay_before_retry, which is 3 s for HTTP where a file does not say otherwise, however small its delay_loop;
// director has it back with the next check.
func testRecovery(t *testing.T) {
	r := newRivalry(t, 2)
	web := r.webServers(r.servers...)
	conf := func(vip string, server int) string {
		return fmt.Sprintf("virtual_server %s 80 {\n  delay_loop %v\n  lb_algo rr\n  lb_kind DR\n  protocol TCP\n  real_server 192.0.2.%d 80 {\n    weight 1\n"+
			"    HTTP_GET {\n      url {\n        path /health\n        status_code 200\n      }\n      connect_timeout 2\n    }\n  }\n}\n", vip, recoveryInterval.Seconds(), server)
	}
	r.ours = startWithConf(t, r.directors[0], conf(ourVIP, 11))
	r.startTheirs(conf(theirVIP, 12))
	name := r.ours.Status().Checkers.Services[0].Name
	took := make([]time.Duration, 2)
	for i, vip := range []string{ourVIP, theirVIP} {
		h, server := r.directors[i], 11+i
		waitTable(t, h, directTable(vip, server))
		web[i].SetHealthy(false)
		waitTable(t, h, directTable(vip))
		// It is asked once more before it is well, so that the next question is a whole interval away.
		asked := web[i].HealthChecks()
		r.Within(patience, "the server is asked again", func() bool { return web[i].HealthChecks() > asked })
		table := watchTable(t, h)
		began := time.Now()
		web[i].SetHealthy(true)
		waitTable(t, h, directTable(vip, server))
		table.Stop()
		took[i] = table.LastChange().Sub(began)
	}
	r.ours.WaitServer(name, "192.0.2.11:80", "up")
	t.Logf("back after %v with director, %v with keepalived", took[0].Round(time.Millisecond), took[1].Round(time.Millisecond))
	wantWithin(t, "back with director", took[0], recoveryInterval)
	if took[1] < 2*time.Second {
		t.Errorf("keepalived had the server back after %v, and is known to wait for 3s", took[1])
	}
}
