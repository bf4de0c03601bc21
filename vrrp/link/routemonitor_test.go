package link

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// routeWatcher collects what a RouteMonitor reports.
type routeWatcher struct {
	mu   sync.Mutex // a test that holds it keeps the monitor from reading
	keys []Key
}

func watchRoutes(h *host, buffer int) *routeWatcher {
	h.t.Helper()
	w := &routeWatcher{}
	ctx, cancel := context.WithCancel(context.Background())
	m := in(h, func() (*RouteMonitor, error) {
		return startRouteMonitor(ctx, func(ev RouteEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.keys = append(w.keys, ev.Key)
		}, buffer)
	})
	h.t.Cleanup(func() { cancel(); m.Wait() })
	return w
}

func (w *routeWatcher) has(k Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.keys, k)
}

// Every route and rule that somebody else removes is told under the key that it was
// added with; what is added is not told at all.
func TestRouteMonitor(t *testing.T) {
	h := two(t)
	k := in(h, openKernel)
	defer k.close()
	w := watchRoutes(h, monitorBuffer)
	for n, c := range routeCases {
		r := c.r
		r.Protocol, r.Table = Protocol, uint32(3000+n)
		if _, err := r.add(k); err != nil {
			t.Errorf("%s: %v", &r, err)
			continue
		}
		if _, err := r.remove(k); err != nil {
			t.Errorf("%s: %v", &r, err)
		}
		eventually(t, r.String()+" is told", func() bool { return w.has(r.Key()) })
	}
	for n, c := range ruleCases {
		r := c.r
		r.Priority = uint32(300 + n)
		if _, err := r.add(k); err != nil {
			t.Errorf("%s: %v", &r, err)
			continue
		}
		if _, err := r.remove(k); err != nil {
			t.Errorf("%s: %v", &r, err)
		}
		eventually(t, r.String()+" is told", func() bool { return w.has(r.Key()) })
	}
	h.ip("route", "add", "10.70.0.0/16", "via", "10.1.0.2")
	h.ip("route", "replace", "10.70.0.0/16", "via", "10.2.0.2")
	replaced := (&Route{To: prefix("10.70.0.0/16"), Table: 254}).Key()
	eventually(t, "the replacement is told", func() bool { return w.has(replaced) })
	h.ip("route", "add", "10.71.0.0/16", "via", "10.1.0.2")
	h.ip("route", "del", "10.70.0.0/16")
	w.mu.Lock()
	defer w.mu.Unlock()
	if added := (&Route{To: prefix("10.71.0.0/16"), Table: 254}).Key(); slices.Contains(w.keys, added) {
		t.Error("a route that was added is told")
	}
}

// A flood that no buffer holds is told as one: anything may have gone.
func TestRouteMonitorOverflow(t *testing.T) {
	h := two(t)
	var batch strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&batch, "route add 10.%d.%d.0/24 via 10.1.0.2 table 500\n", 100+i/250, i%250)
	}
	file := t.TempDir() + "/batch"
	h.must(writeFile(file, batch.String()))
	h.ip("-batch", file)
	w := watchRoutes(h, 4096)
	w.mu.Lock()
	h.ip("route", "flush", "table", "500")
	w.mu.Unlock()
	eventually(t, "the loss is told", func() bool { return w.has(Key{}) })
	// It goes on.
	key := (&Route{To: prefix("10.50.0.0/16"), Table: 254}).Key()
	eventually(t, "later removals are told", func() bool {
		if w.has(key) {
			return true
		}
		h.ip("route", "add", "10.50.0.0/16", "via", "10.1.0.2")
		h.ip("route", "del", "10.50.0.0/16")
		return false
	})
}

// FuzzRouteMessages feeds the decoders of routes, rules and addresses what no kernel
// would send.
func FuzzRouteMessages(f *testing.F) {
	for _, c := range routeCases {
		if parts, err := c.r.message(map[string]int{"eth0": 1, "eth1": 2}, true); err == nil {
			var b []byte
			for _, p := range parts {
				b = append(b, p.Serialize()...)
			}
			f.Add(b)
		}
	}
	for _, c := range ruleCases {
		if parts, err := c.r.message(); err == nil {
			var b []byte
			for _, p := range parts {
				b = append(b, p.Serialize()...)
			}
			f.Add(b)
		}
	}
	for _, kind := range []string{"route", "rule", "addr", "link"} {
		for _, b := range captured(f, kind) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, _, ok := parseRoute(b); ok {
			if !id.to.IsValid() {
				t.Errorf("a route to nowhere from %x", b)
			}
			id.key()
		}
		if r, ok := parseRule(b); ok {
			r.Key()
			if len(b) > 0 && r.IPv6 != (b[0] == unix.AF_INET6) {
				t.Errorf("family %d taken for IPv6 %v", b[0], r.IPv6)
			}
		}
		addressProtocol(b)
		peerOf(b)
		inetConf([][]byte{b}, 20)
	})
}
