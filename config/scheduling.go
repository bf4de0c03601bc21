package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Scheduling is how the kernel spreads clients over a pool, beyond the name of the
// scheduler.
type Scheduling struct {
	// SchedulerFlags are switches of the scheduler; flag-1, flag-2 and flag-3 are the
	// same by number, for schedulers to come.
	SchedulerFlags []string `toml:"scheduler_flags" form:"schedflag" alias:"sched_flags flags" json:",omitempty"`
	// OnePacket makes the kernel schedule each datagram for itself and forget it.
	OnePacket bool `toml:"one_packet" default:"false" json:",omitempty" alias:"ops"`
	// PersistenceTimeout binds a client to one real server; whole seconds, 0 = off.
	PersistenceTimeout Duration `toml:"persistence_timeout" default:"0s" min:"0s" max:"744h" step:"1s" alias:"persistence persistent"`
	// PersistenceGranularity makes one client of all that are equal under a netmask,
	// of IPv6 under a prefix length. See Granularity.
	PersistenceGranularity string `toml:"persistence_granularity" form:"granularity" default:"=each address for itself" json:",omitempty" alias:"granularity netmask"`
	// PersistenceEngine tells clients apart by something else than their address:
	// "sip", by the Call-ID of SIP over UDP.
	PersistenceEngine string `toml:"persistence_engine" oneof:"sip" json:",omitempty" alias:"persistent_engine pe"`
}

// TunnelOptions is the encapsulation of a server with forwarding = "tunnel".
type TunnelOptions struct {
	Type string `toml:"type" oneof:"ipip gue gre" default:"ipip"`
	// Port is the UDP port of GUE at the real server.
	Port uint16 `toml:"port" min:"1" max:"65535" json:",omitempty" when:"type=gue"`
	// Checksum is the one of the outer header: none, checksum, or for GUE
	// remote-checksum.
	Checksum string `toml:"checksum" oneof:"none checksum remote-checksum" default:"none" json:",omitempty" when:"type=gue|gre"`
}

// Thresholds bound the connections of a real server: with Upper of them it gets no
// new ones until it is below Lower. 0: no bound; a Lower of 0 means three quarters
// of Upper.
type Thresholds struct {
	Upper uint32 `toml:"upper_threshold" default:"0" min:"0" max:"4294967295" json:",omitempty" alias:"uthreshold u_threshold"`
	Lower uint32 `toml:"lower_threshold" default:"0" min:"0" max:"4294967295" json:",omitempty" alias:"lthreshold l_threshold"`
}

// schedulerFlag is a switch of a scheduler: its number, and the only scheduler that has it
// under this name, "" for any.
type schedulerFlag struct {
	scheduler string
	number    int
}

func parseFlag(name string) schedulerFlag {
	switch name {
	case "flag-1", "flag-2", "flag-3":
		return schedulerFlag{"", int(name[5] - '0')}
	case "sh-fallback", "mh-fallback":
		return schedulerFlag{name[:2], 1}
	case "sh-port", "mh-port":
		return schedulerFlag{name[:2], 2}
	}
	return schedulerFlag{}
}

// HoldsPlaces reports whether the scheduler keeps the places of a server with weight 0:
// new clients that hashing leads there are refused, and not served by another.
func (vs *VirtualServer) HoldsPlaces() bool {
	switch vs.Scheduler {
	case "dh":
		return true // it has no flag
	case "sh", "mh":
		return !slices.ContainsFunc(vs.SchedulerFlags, func(f string) bool { return FlagNumber(f) == 1 })
	}
	return false
}

// Fallback is what makes HoldsPlaces false.
func (vs *VirtualServer) Fallback() string {
	if vs.Scheduler == "dh" {
		return `with dh they cannot be sent elsewhere, with scheduler = "sh" or "mh" and its fallback flag they can`
	}
	return fmt.Sprintf("scheduler_flags = [\"%s-fallback\"] sends them to the other servers", vs.Scheduler)
}

// FlagNumber returns the number 1 to 3 by which the kernel knows a scheduler's
// flag, 0 for what is none.
func FlagNumber(flag string) int { return parseFlag(flag).number }

// Granularity returns the mask of a persistence granularity in a family: "24" and
// "255.255.255.0" for IPv4, "64" for IPv6. It reports false for what is none there.
func Granularity(s string, ipv6 bool) (netip.Addr, bool) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil && strconv.FormatUint(n, 10) == s {
		all := netip.AddrFrom4([4]byte{255, 255, 255, 255})
		if ipv6 {
			all = netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
		}
		p, err := all.Prefix(int(n))
		return p.Addr(), err == nil && n > 0
	}
	mask, err := netip.ParseAddr(s)
	if err != nil || ipv6 || !mask.Is4() || !contiguous(mask.As4()) {
		return netip.Addr{}, false
	}
	return mask, true
}

// contiguous says whether a mask is ones before zeros, with at least one of them.
func contiguous(m [4]byte) bool {
	x := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	return x != 0 && ^x&(^x+1) == 0
}

// scheduling checks what the kernel would refuse, or take and not do.
// known says that what the service is has been understood.
func (v *validator) scheduling(at place, vs *VirtualServer, known bool) {
	flags := at.child("scheduler_flags")
	numbers := map[int]place{}
	for i, e := range flags.list() {
		if !v.ok(e) || i >= len(vs.SchedulerFlags) {
			continue
		}
		f := parseFlag(vs.SchedulerFlags[i])
		if f.scheduler != "" && f.scheduler != vs.Scheduler && v.ok(at.child("scheduler")) {
			v.errorf(e, "%q is a flag of the scheduler %q, here it is %q, allowed is %s", vs.SchedulerFlags[i], f.scheduler, vs.Scheduler, flagsOf(vs.Scheduler))
		} else if first, taken := numbers[f.number]; taken {
			v.errorf(e, "%q is the same flag as %s, allowed is each once", vs.SchedulerFlags[i], ref(first))
		} else {
			numbers[f.number] = e
		}
	}
	datagrams := vs.Protocol == UDP || vs.Protocol == "" || !known || !v.ok(at.child("protocol"))
	if e := at.child("one_packet"); vs.OnePacket && !datagrams {
		v.errorf(e, "the service is %s, allowed with protocol = \"udp\" or a fwmark: the kernel schedules only datagrams one by one", vs.Protocol)
	}
	persistent := vs.PersistenceTimeout > 0 || !v.ok(at.child("persistence_timeout"))
	const needs = "there is no persistence, allowed together with persistence_timeout"
	if e := at.child("persistence_engine"); e.exists() && v.ok(e) {
		if !persistent {
			v.errorf(e, needs)
		} else if !datagrams {
			v.errorf(e, "the service is %s, allowed with protocol = \"udp\" or a fwmark: the kernel looks for SIP in datagrams only", vs.Protocol)
		}
	}
	if e := at.child("persistence_granularity"); e.exists() && v.ok(e) {
		if !persistent {
			v.errorf(e, needs)
		} else if known {
			v.granularity(e, vs)
		}
	}
}

// granularity checks the granularity against the families of the services.
func (v *validator) granularity(e place, vs *VirtualServer) {
	f := vs.face()
	if f.four && f.six {
		v.errorf(e, "the group has services of both IP versions, whose masks differ, allowed with one version only")
		return
	}
	for _, ipv6 := range []bool{false, true} {
		if ipv6 && !f.six || !ipv6 && !f.four {
			continue
		}
		if _, ok := Granularity(vs.PersistenceGranularity, ipv6); ok {
			continue
		}
		allowed := "a netmask such as \"255.255.255.0\" or a prefix length from \"1\" to \"32\""
		if ipv6 {
			allowed = "a prefix length from \"1\" to \"128\""
		}
		v.errorf(e, "%q is no granularity of an %s service, allowed is %s", vs.PersistenceGranularity, familyName(ipv6), allowed)
	}
}

// flagsOf lists the flags that a scheduler may have.
func flagsOf(scheduler string) string {
	if scheduler == "sh" || scheduler == "mh" {
		return orList([]string{scheduler + "-fallback", scheduler + "-port", "flag-3"})
	}
	return `"flag-1", "flag-2" or "flag-3"`
}

// tunnel checks the encapsulation of one server and resolves it: inherited is that
// of the virtual server.
func (v *validator) tunnel(at place, own **TunnelOptions, inherited *TunnelOptions, fwd Forwarding) {
	e := at.child("tunnel")
	switch {
	case e.exists() && fwd != Tunnel && v.ok(e):
		v.errorf(e.atKey(), "the forwarding is %q, allowed with forwarding = \"tunnel\" only", fwd)
	case *own != nil:
		v.tunnelTable(e, *own)
	case fwd == Tunnel && inherited != nil:
		*own = inherited
	}
	if fwd != Tunnel {
		*own = nil
	}
}

// tunnelTable checks what the kernel refuses in an encapsulation.
func (v *validator) tunnelTable(e place, t *TunnelOptions) {
	e = e.asShort("type")
	if port := e.child("port"); t.Type == "gue" && t.Port == 0 && v.ok(e) && v.ok(port) && v.ok(e.child("type")) {
		v.errorf(port, "is missing, required with type = \"gue\" is the UDP port of the real server: the kernel refuses a GUE tunnel without one")
	}
	if sum := e.child("checksum"); t.Type == "gre" && t.Checksum == "remote-checksum" && v.ok(sum) {
		v.errorf(sum, "\"remote-checksum\" is an option of GUE, allowed with type = \"gre\" is \"none\" or \"checksum\"")
	}
}

// thresholds checks what the kernel refuses.
func (v *validator) thresholds(at place, t Thresholds) {
	lower := at.child("lower_threshold")
	if !v.ok(lower) || !v.ok(at.child("upper_threshold")) || t.Lower <= t.Upper {
		return
	}
	if t.Upper == 0 {
		v.errorf(lower, "there is no upper_threshold, allowed together with one: the kernel refuses a lower threshold above the upper one")
		return
	}
	v.errorf(lower, "%d is above the upper_threshold, allowed is %s: the kernel refuses anything else", t.Lower, upTo(int(t.Upper)))
}

// familyWord is the value of a key family.
func familyWord(ipv6 bool) string { return strings.ToLower(familyName(ipv6)) }
