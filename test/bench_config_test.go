package test

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A benchFarm is what both programs are configured for: the same services, servers, checks and times.
type benchFarm struct {
	services, servers int    // servers of each service
	check             string // tcp, http, or "" for none
	port              uint16 // of the servers
	interval          time.Duration
	timeout           time.Duration // 0: 3 s
	retry             time.Duration // between a first failure and the second that takes a server out; 0: one failure is enough
	weight            int           // of the one server that a reload changes
	replaced          bool          // that server has been replaced by another
}

// server is the address of a server: no two have the same, and all are this machine's.
func (f benchFarm) server(service, n int) netip.AddrPort {
	i := service*f.servers + n
	if f.replaced && f.changes(service, n) {
		i += f.services * f.servers
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)}), f.port)
}

// service is the address of a service.
func (f benchFarm) service(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)}), 80)
}

// changes says whether it is the server that a reload changes.
func (f benchFarm) changes(service, n int) bool { return service == f.services/2 && n == f.servers/2 }

// weightOf is the weight of a server.
func (f benchFarm) weightOf(service, n int) int {
	if f.weight != 0 && f.changes(service, n) {
		return f.weight
	}
	return 1
}

func (f benchFarm) timeLimit() time.Duration {
	if f.timeout == 0 {
		return 3 * time.Second
	}
	return f.timeout
}

// text writes the configuration of a program.
func (f benchFarm) text(who string) string {
	if who == "director" {
		return f.director()
	}
	return f.keepalived()
}

// director writes the configuration in director's language.
func (f benchFarm) director() string {
	var w strings.Builder
	for s := range f.services {
		fmt.Fprintf(&w, "[virtual_server.s%d]\naddress = %q\nscheduler = \"rr\"\nforwarding = \"nat\"\nalpha = false\nreal_server = [\n", s, f.service(s))
		for n := range f.servers {
			fmt.Fprintf(&w, "  { address = %q, weight = %d },\n", f.server(s, n), f.weightOf(s, n))
		}
		w.WriteString("]\n")
		if f.check != "" {
			fall := 1
			if f.retry > 0 {
				fall = 2
			}
			fmt.Fprintf(&w, "[[virtual_server.s%d.check]]\ntype = %q\ninterval = %q\ntimeout = %q\nrise = 1\nfall = %d\n", s, f.check, f.interval, f.timeLimit(), fall)
			if f.retry > 0 {
				fmt.Fprintf(&w, "interval_changing = %q\n", f.retry)
			}
		}
	}
	return w.String()
}

// keepalived writes the configuration in keepalived's language.
func (f benchFarm) keepalived() string {
	var w strings.Builder
	w.WriteString("global_defs {\n router_id bench\n}\n")
	retries := "retry 0\n"
	if f.retry > 0 {
		retries = fmt.Sprintf("retry 1\n delay_before_retry %g\n", f.retry.Seconds())
	}
	for s := range f.services {
		at := f.service(s)
		fmt.Fprintf(&w, "virtual_server %s %d {\n delay_loop %g\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n", at.Addr(), at.Port(), max(f.interval.Seconds(), 1))
		for n := range f.servers {
			rs := f.server(s, n)
			fmt.Fprintf(&w, " real_server %s %d {\n weight %d\n", rs.Addr(), rs.Port(), f.weightOf(s, n))
			switch f.check {
			case "tcp":
				fmt.Fprintf(&w, "TCP_CHECK {\n connect_timeout %g\n %s}\n", f.timeLimit().Seconds(), retries)
			case "http":
				fmt.Fprintf(&w, "HTTP_GET {\n url {\n path /\n status_code 200\n }\n connect_timeout %g\n %s}\n", f.timeLimit().Seconds(), retries)
			}
			w.WriteString(" }\n")
		}
		w.WriteString("}\n")
	}
	return w.String()
}
