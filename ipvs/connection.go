package ipvs

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Connection is one that IPVS remembers, or a template of persistence: a client that
// is bound to a real server, whose port is 0.
type Connection struct {
	Protocol string // TCP, UDP, SCTP; IP for a template of a firewall mark
	State    string // such as ESTABLISHED
	Client   netip.AddrPort
	Virtual  netip.AddrPort
	Server   netip.AddrPort
	Expires  time.Duration // in whole seconds
	// Engine is the persistence engine of a template, and EngineData what it knows the
	// client by; empty without.
	Engine, EngineData string
}

// ParseConnection reads a line of the kernel's /proc/net/ip_vs_conn. ok is false for
// its heading.
func ParseConnection(line string) (c Connection, ok bool, err error) {
	f := strings.Fields(line)
	if len(f) > 0 && f[0] == "Pro" {
		return c, false, nil
	}
	if len(f) < 9 {
		return c, false, fmt.Errorf("ipvs: connection of %d fields: %.200q", len(f), line)
	}
	c.Protocol, c.State = f[0], f[7]
	for i, to := range []*netip.AddrPort{&c.Client, &c.Virtual, &c.Server} {
		if *to, err = procAddrPort(f[1+2*i], f[2+2*i]); err != nil {
			return c, false, fmt.Errorf("ipvs: connection %.200q: %w", line, err)
		}
	}
	seconds, err := strconv.ParseUint(f[8], 10, 32)
	if err != nil {
		return c, false, fmt.Errorf("ipvs: connection %.200q: %w", line, err)
	}
	c.Expires = time.Duration(seconds) * time.Second
	if len(f) > 9 {
		c.Engine = f[9]
		c.EngineData = strings.Join(f[10:], " ")
	}
	return c, true, nil
}

// procAddrPort reads an address, eight hexadecimal digits or IPv6 written out, and a
// port of four hexadecimal digits.
func procAddrPort(addr, port string) (netip.AddrPort, error) {
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if len(addr) == 8 {
		b, err := hex.DecodeString(addr)
		if err == nil {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b)), uint16(p)), nil
		}
	}
	a, err := netip.ParseAddr(addr)
	return netip.AddrPortFrom(a, uint16(p)), err
}
