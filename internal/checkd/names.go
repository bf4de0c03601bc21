package checkd

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"director/checkers"
	"director/config"
	"director/internal/control"
	"director/ipvs"
)

// find returns the servers that an order means.
func (d *Daemon) find(o *control.Order) ([]target, error) {
	if len(o.Servers) == 0 {
		return nil, fmt.Errorf("no real server is named")
	}
	services := d.services
	if o.Service != "" {
		s, err := d.findService(o.Service)
		if err != nil {
			return nil, err
		}
		services = []*service{s}
	}
	var found []target
	known := map[target]bool{}
	for _, text := range o.Servers {
		any := false
		for _, s := range services {
			for _, rs := range findServers(s, text) {
				any = true
				if t := (target{s, rs}); !known[t] {
					known[t] = true
					found = append(found, t)
				}
			}
		}
		if !any {
			return nil, noServer(services, o.Service, text)
		}
	}
	return found, nil
}

// findService returns the virtual server with a name or an address.
func (d *Daemon) findService(text string) (*service, error) {
	var found []*service
	var names, addresses []string
	for _, s := range d.services {
		name := s.pool.Config().Name
		if name == text {
			return s, nil
		}
		names = append(names, name)
		for _, key := range s.keys {
			full := key.String()
			if text == full || sameAddress(text, full) {
				found = append(found, s)
				addresses = append(addresses, name+" "+full)
				break
			}
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, unknown("virtual server", text, names)
	}
	return nil, fmt.Errorf("%q is the address of several virtual servers: %s", text, strings.Join(addresses, ", "))
}

// sameAddress compares what a person wrote with the name of a service in the kernel: an
// address with or without port and protocol.
func sameAddress(text, full string) bool {
	text, protocol, named := strings.Cut(text, "/")
	address, of, _ := strings.Cut(full, "/")
	if named && protocol != of {
		return false
	}
	have, err := netip.ParseAddrPort(address)
	if err != nil {
		return false // a mark
	}
	if want, err := netip.ParseAddrPort(text); err == nil {
		return ipvs.CanonicalDest(want) == have
	}
	want, err := netip.ParseAddr(text)
	return err == nil && want == have.Addr()
}

// findServers returns the real servers of a pool that are meant: the one that is
// called so, else all that fit.
func findServers(s *service, text string) []*checkers.Server {
	list := s.pool.All()
	if i := slices.IndexFunc(list, func(rs *checkers.Server) bool { return rs.Config.Name == text }); i >= 0 {
		return list[i : i+1]
	}
	var found []*checkers.Server
	for _, rs := range list {
		if means(text, rs) {
			found = append(found, rs)
		}
	}
	return found
}

// means says whether a server is meant by a name, an address with or without a port,
// a pattern of these, or "all", which is every one that is no sorry server.
func means(text string, rs *checkers.Server) bool {
	if text == "all" && !rs.Sorry || text == rs.Config.Name {
		return true
	}
	if to, err := netip.ParseAddrPort(text); err == nil {
		return ipvs.CanonicalDest(to) == rs.Config.Key
	}
	if to, err := netip.ParseAddr(text); err == nil {
		return to == rs.Config.Key.Addr()
	}
	if !strings.ContainsAny(text, "*?[") {
		return false
	}
	for _, name := range []string{rs.Config.Name, rs.Config.Key.String(), rs.Config.Key.Addr().String()} {
		if ok, err := path.Match(text, name); ok && err == nil {
			return true
		}
	}
	return false
}

// noServer says that nothing is called so, and what is.
func noServer(services []*service, of, text string) error {
	var names []string
	for _, s := range services {
		for _, l := range s.pool.Leaving() {
			if text == l.Name || text == l.Key.String() {
				return fmt.Errorf("real server %q of %s is not in the configuration any more: it keeps its connections and leaves by itself", text, s.pool.Config().Name)
			}
		}
		for _, rs := range s.pool.All() {
			names = append(names, rs.Config.Name, rs.Config.Key.String())
		}
	}
	what := "real server of " + of
	if of == "" {
		what = "real server of any virtual server"
	}
	return unknown(what, text, names)
}

// unknown says that nothing is called so, with the name that was probably meant, or
// with those there are when they are few.
func unknown(what, text string, names []string) error {
	slices.Sort(names)
	names = slices.Compact(names)
	switch near := config.Nearest(text, names); {
	case near != "" && len(text) > 2: // of two letters one is too much to guess
		return fmt.Errorf("there is no %s called %q: did you mean %q?", what, text, near)
	case len(names) == 0:
		return fmt.Errorf("there is no %s", what)
	case len(names) <= 12:
		return fmt.Errorf("there is no %s called %q: there are %s", what, text, strings.Join(names, ", "))
	}
	return fmt.Errorf("there is no %s called %q: `director status` lists all", what, text)
}
