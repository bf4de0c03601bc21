package webd

import (
	"net"
	"net/http"
	"sync"
)

// gate bounds the connections of all listeners together. When there are too many, the
// one that has been without a request for longest makes room: clients that connect and
// say nothing cannot keep others out. Where all are at work, the next waits in the
// kernel's queue.
type gate struct {
	most int

	mu    sync.Mutex
	room  *sync.Cond
	all   map[net.Conn]bool
	quiet []net.Conn // without a request, the longest first
}

func newGate(most int) *gate {
	g := &gate{most: most, all: make(map[net.Conn]bool)}
	g.room = sync.NewCond(&g.mu)
	return g
}

// gated is a listener that asks the gate.
type gated struct {
	net.Listener
	gate *gate
}

// listen puts the gate before a listener.
func (g *gate) listen(l net.Listener) net.Listener { return &gated{l, g} }

// Accept implements net.Listener.
func (l *gated) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	admitted := &admitted{Conn: c, gate: l.gate}
	l.gate.admit(admitted)
	return admitted, nil
}

// admitted is a connection that counts until it is closed.
type admitted struct {
	net.Conn
	gate     *gate
	requests int // that are answered now; the gate's mutex guards it
}

// Close implements net.Conn.
func (c *admitted) Close() error {
	c.gate.forget(c)
	return c.Conn.Close()
}

// admit counts a new connection, for which there may have to be made room.
func (g *gate) admit(c *admitted) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for len(g.all) >= g.most {
		if len(g.quiet) > 0 {
			oldest := g.quiet[0].(*admitted)
			g.drop(oldest)
			oldest.Conn.Close()
			continue
		}
		g.room.Wait()
	}
	g.all[c] = true
	g.quiet = append(g.quiet, c)
}

func (g *gate) forget(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(c)
	g.room.Broadcast()
}

// drop takes a connection off the lists. g.mu is held.
func (g *gate) drop(c net.Conn) {
	delete(g.all, c)
	g.hush(c)
}

// hush takes a connection off the list of those without a request. g.mu is held.
func (g *gate) hush(c net.Conn) {
	for i, q := range g.quiet {
		if q == c {
			g.quiet = append(g.quiet[:i], g.quiet[i+1:]...)
			return
		}
	}
}

// working notes that a connection has a request that is answered now. HTTP/2 and TLS
// wrap the connection, which is why the request says it and not http.Server.ConnState.
func (g *gate) working(c net.Conn) (done func()) {
	a := unwrap(c)
	if a == nil {
		return func() {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.hush(a)
	a.requests++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if a.requests--; a.requests == 0 && g.all[a] {
			g.quiet = append(g.quiet, a)
			g.room.Broadcast()
		}
	}
}

// unwrap finds the connection that the gate admitted.
func unwrap(c net.Conn) *admitted {
	for {
		switch v := c.(type) {
		case *admitted:
			return v
		case interface{ NetConn() net.Conn }:
			c = v.NetConn()
		default:
			return nil
		}
	}
}

// connKey is under what a request's context has its connection.
type connKey struct{}

// wrap notes for each request that its connection is at work.
func (g *gate) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
			defer g.working(c)()
		}
		h.ServeHTTP(w, r)
	})
}
