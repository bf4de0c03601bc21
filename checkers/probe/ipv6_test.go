package probe

import (
	"context"
	"net"
	"testing"
	"time"

	"director/internal/netlab/labtest"
)

// Over IPv6, in a network that has it: not every machine's has.
func TestIPv6(t *testing.T) {
	lab := labtest.New(t, "six")
	host := lab.Host("a")
	var l net.Listener
	lab.Must(host.Do(func() (err error) {
		l, err = net.Listen("tcp", "[::1]:0")
		return err
	}))
	to := serveOn(t, l, func(c net.Conn) { c.Close() })
	asked := make(chan Answer, 1)
	p, err := NewPoller(func(list []Answer) { asked <- list[0] })
	lab.Must(err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- host.Do(func() error { p.Run(ctx); return nil }) }()
	defer func() { cancel(); <-ended }()
	p.Ask([]*Exchange{{To: to, Timeout: 10 * time.Second}})
	got := map[string]Result{"tcp by a poller": (<-asked).Result}
	for kind, ask := range map[string]func(context.Context, Target) Result{"tcp": TCP, "ping": Ping} {
		lab.Must(host.Do(func() error { got[kind] = ask(within(t, 10*time.Second), to); return nil }))
	}
	for kind, r := range got {
		if !r.OK {
			t.Errorf("%s: %+v", kind, r)
		}
	}
}
