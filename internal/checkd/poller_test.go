package checkd

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"director/config"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// Simple checks are made by the poller, and all that follows is as with any other.
func TestSimpleChecksArePolled(t *testing.T) {
	var sick atomic.Bool
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sick.Load() {
			w.WriteHeader(500)
		}
	}))
	defer web.Close()
	at := netip.MustParseAddrPort(web.Listener.Addr().String())
	closed := labtest.FreePort(t) // where nobody listens

	w := newWorld(t, "")
	w.real = true
	w.run()
	cfg := func(kinds ...config.CheckKind) *config.Config {
		return configOf("web: a1 b1 c1", func(c *config.Config) {
			for i, kind := range kinds {
				to := at
				if kind == "closed" {
					kind, to = config.CheckTCP, closed
				}
				c.VirtualServers[0].RealServers[i].Checks = []config.Check{{Kind: kind, Path: "/", ConnectAddress: to.Addr(), ConnectPort: to.Port(),
					Interval: config.Duration(100 * time.Millisecond), Timeout: config.Duration(30 * time.Second), Rise: 1, Fall: 2}}
			}
		})
	}
	await := func(want string) {
		t.Helper()
		if err := netlab.EventuallyWithin(time.Minute, func() error {
			if got := tableText(w.kernel.Table()); got != want {
				return fmt.Errorf("table %q, want %q", got, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	w.configure(cfg(config.CheckTCP, config.CheckHTTP, "closed"))
	await("web: a1 b1")
	sick.Store(true)
	await("web: a1")
	sick.Store(false)
	await("web: a1 b1")
	w.configure(cfg("closed", config.CheckTCP, config.CheckHTTP)) // while checks are under way
	await("web: b1 c1")
	w.cancel()
	<-w.ended
	w.parent.hangUp()
	if len(w.daemon.schedule.tasks) == 0 {
		t.Error("there are no tasks")
	}
	for _, task := range w.daemon.schedule.tasks {
		if task.poll == nil {
			t.Errorf("%s was not polled", task.Label())
		}
	}
}

// What a poller cannot do goes its own way.
func TestOtherChecksAreNotPolled(t *testing.T) {
	for name, c := range map[string]config.Check{
		"https":          {Kind: config.CheckHTTPS, Path: "/"},
		"http 2":         {Kind: config.CheckHTTP, Path: "/", HTTPVersion: "2"},
		"two questions":  {Kind: config.CheckHTTP, URLs: []config.CheckURL{{Path: "/a"}, {Path: "/b"}}},
		"tcp with words": {Kind: config.CheckTCP, Send: "x"},
		"tls":            {Kind: config.CheckTLS},
		"redis":          {Kind: config.CheckRedis},
	} {
		if NewPlan(&c).exchange(Query{Kind: c.Kind}) != nil {
			t.Errorf("%s is polled", name)
		}
	}
	through := Query{Kind: config.CheckTCP, Through: passage{server: netip.MustParseAddr("10.0.0.1")}}
	if !through.Through.valid() || NewPlan(&config.Check{Kind: config.CheckTCP}).exchange(through) != nil {
		t.Error("a check through the virtual address is polled")
	}
	x := NewPlan(&config.Check{Kind: config.CheckHTTP, Path: "/", Mark: 7, Timeout: config.Duration(3 * time.Second), ConnectTimeout: config.Duration(time.Second)}).exchange(Query{
		Kind: config.CheckHTTP, Host: "named", Target: netip.MustParseAddrPort("10.0.0.1:80")})
	if x == nil || x.HTTP.Host != "named" || x.Timeout != 3*time.Second || x.To.ConnectTimeout != time.Second || x.To.Mark != 7 {
		t.Errorf("http: %+v", x)
	}
}

// Probes that wait long start in company; what that adds does not add up, and one that is urgent is not held up.
func TestCompany(t *testing.T) {
	now := time.Unix(1_000_000, 3e6)
	for _, test := range []struct{ wait, step time.Duration }{
		{0, 10 * time.Millisecond}, {100 * time.Millisecond, 10 * time.Millisecond}, {500 * time.Millisecond, 20 * time.Millisecond},
		{time.Second, 50 * time.Millisecond}, {time.Hour, 50 * time.Millisecond},
	} {
		due := now.Add(test.wait)
		at := company(now, due)
		if late := at.Sub(due); late < 0 || late >= test.step || time.Duration(at.UnixNano())%test.step != 0 {
			t.Errorf("waits %s: starts %s late, want less than %s", test.wait, late, test.step)
		}
	}
}
