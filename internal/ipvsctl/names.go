package ipvsctl

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"director/ipvs"
)

// lookupLimit is how long a name is waited for.
const lookupLimit = 5 * time.Second

// Names turns numbers into names and back: addresses by the host's resolver, ports by
// its list of services. It remembers what it was told, and is for one goroutine.
type Names struct {
	lookup  func(context.Context, string) ([]string, error)
	ports   map[string]string // "tcp/80" -> http
	numbers map[string]uint16 // "tcp/http" -> 80
	hosts   map[netip.Addr]string
}

// NewNames reads a list of services, which looks like /etc/services; nil: none.
func NewNames(services io.Reader) *Names {
	n := &Names{
		lookup: net.DefaultResolver.LookupAddr,
		ports:  map[string]string{}, numbers: map[string]uint16{}, hosts: map[netip.Addr]string{},
	}
	if services == nil {
		return n
	}
	for lines := bufio.NewScanner(services); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		f := strings.Fields(text)
		if len(f) < 2 {
			continue
		}
		port, protocol, _ := strings.Cut(f[1], "/")
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			continue
		}
		if key := protocol + "/" + port; n.ports[key] == "" {
			n.ports[key] = f[0]
		}
		for i, name := range f {
			if i != 1 {
				n.numbers[protocol+"/"+name] = uint16(number)
			}
		}
	}
	return n
}

// host returns the name of an address, "" when it has none.
func (n *Names) host(a netip.Addr) string {
	name, known := n.hosts[a]
	if !known {
		ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
		defer cancel()
		if list, err := n.lookup(ctx, a.String()); err == nil && len(list) > 0 {
			name = strings.TrimSuffix(list[0], ".")
		}
		n.hosts[a] = name
	}
	return name
}

// port returns the name of a port, "" when it has none.
func (n *Names) port(protocol string, port uint16) string {
	return n.ports[strings.ToLower(protocol)+"/"+strconv.Itoa(int(port))]
}

// Parsing returns what a text that uses names is read with.
func (n *Names) Parsing() ipvs.Names {
	return ipvs.Names{
		Host: func(name string, f ipvs.Family) (netip.Addr, error) {
			network := map[ipvs.Family]string{ipvs.IPv4: "ip4", ipvs.IPv6: "ip6"}[f]
			if network == "" {
				network = "ip"
			}
			ctx, cancel := context.WithTimeout(context.Background(), lookupLimit)
			defer cancel()
			list, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
			if err != nil {
				return netip.Addr{}, err
			}
			if len(list) != 1 {
				return netip.Addr{}, fmt.Errorf("%s has %d addresses, %v; write the one that is meant", name, len(list), list)
			}
			return list[0].Unmap(), nil
		},
		Port: func(name string, p ipvs.Protocol) (uint16, error) {
			number, known := n.numbers[p.String()+"/"+name]
			if !known {
				return 0, fmt.Errorf("/etc/services has no port %s of %v", name, p)
			}
			return number, nil
		},
	}
}
