package webd

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// names are those by which clients may call the server.
//
// Without a check of the Host header a page of somebody else could have its own name
// resolved to this host's address once it is open in an operator's browser, and then
// read everything from here as if it were its own (DNS rebinding). Such a page is known
// by its name: a browser that was sent to an address says the address.
type names map[string]bool

// namesOf returns the configured names, localhost and the host's own name.
func namesOf(configured []string) names {
	n := names{"localhost": true}
	if own, err := os.Hostname(); err == nil {
		n.add(own)
	}
	for _, name := range configured {
		n.add(name)
	}
	return n
}

func (n names) add(name string) { n[canonical(name)] = true }

// canonical is a name as it is compared: letter case and the dot of the root do not
// count.
func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// allow reports whether a Host header (RFC 9110 section 7.2) names this server: an
// address, whose port does not matter, or one of the names. A browser never leaves it
// empty; programs that speak HTTP/1.0 do.
func (n names) allow(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	host = canonical(host)
	return n[host] || strings.HasSuffix(host, ".localhost") // RFC 6761 section 6.3
}

// guard refuses requests to other names. No browser reaches a UNIX socket by itself, and
// a proxy in front of one has names of its own.
func (n names) guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		if local != nil && local.Network() == "unix" || n.allow(r.Host) {
			h.ServeHTTP(w, r)
			return
		}
		http.Error(w, fmt.Sprintf("this server is not called %q: name it in server_name of the table [web], or use its address", r.Host), http.StatusMisdirectedRequest)
	})
}
