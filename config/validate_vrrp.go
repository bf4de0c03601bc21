package config

import (
	"net/netip"
	"strings"
	"time"
)

// instances checks the VRRP instances, each alone and then among each other.
func (v *validator) instances() {
	type router struct {
		dev  string
		vrid uint8
	}
	type ownership struct {
		dev  string
		addr netip.Addr
	}
	routers := make(map[router]place)
	owners := make(map[ownership]place)
	known := v.trackers()

	tables := v.root.child("vrrp_instance")
	for i := range v.cfg.Instances {
		in := &v.cfg.Instances[i]
		at := tables.child(in.Name)
		v.protocol(at, in)
		v.timing(at, in)
		v.gates(at, in)
		v.unicast(at, in)

		idAt := at.child("virtual_router_id")
		id := router{in.Interface, in.VRID}
		if first, taken := routers[id]; taken {
			v.errorf(idAt, "%d is already used on %s by %s, allowed is one instance for each number and interface",
				in.VRID, in.Interface, ref(first))
		} else if v.ok(idAt) && v.ok(at.child("interface")) {
			routers[id] = at
		}

		own := func(list place, addrs []VirtualAddress) {
			for j, e := range list.list() {
				e = e.asShort("address")
				if !v.ok(e) || !v.ok(e.child("address")) {
					continue
				}
				v.virtualAddress(e, in, &addrs[j])
				o := ownership{addrs[j].Device, addrs[j].Prefix.Addr()}
				if first, taken := owners[o]; taken {
					v.errorf(e.child("address"), "%s is already a virtual address on %s, in %s, allowed is each address once",
						o.addr, o.dev, ref(first))
				} else if o.dev != "" {
					owners[o] = e
				}
			}
		}
		own(at.child("virtual_ipaddress"), in.Addresses)
		own(at.child("virtual_ipaddress_excluded"), in.Excluded)
		if list := at.child("virtual_ipaddress"); list.exists() && v.ok(list) {
			switch n := len(in.Addresses); {
			case n == 0:
				v.errorf(list, "an empty list is not allowed, allowed are 1 to 255 addresses: routers drop an advert without any (RFC 9568 section 5.2.5); for an instance that shall only elect, write one that nobody uses, such as { address = \"192.0.0.8\", device = \"lo\" }")
			case n > 255:
				v.errorf(list, "%d addresses are too many, allowed are 1 to 255: an advert holds no more; put the others into virtual_ipaddress_excluded", n)
			}
		}

		v.tracking(at, &in.Tracking, known, in.Priority == 255)

		if in.Notify.User == "" {
			in.Notify.User = v.cfg.Global.ScriptUser
		}
	}

	v.groups(known)
	v.unused(known)
}

// protocol checks the keys of an instance that depend on each other.
func (v *validator) protocol(at place, in *Instance) {
	if at := at.child("mcast_src_ip"); at.exists() && v.ok(at) {
		if what := hostAddressProblem(in.Source); what != "" {
			v.errorf(at, "%q %s, allowed is an IPv4 address of this host", in.Source, what)
		}
	}

	versionKnown := v.ok(at.child("version"))
	interval := in.AdvertInterval.D()
	if at := at.child("advert_interval"); at.exists() && v.ok(at) && versionKnown {
		switch {
		case in.Version == 2 && (interval < time.Second || interval%time.Second != 0):
			v.errorf(at, "%s is not a whole number of seconds, allowed with version = 2 are 1s to 255s", show(at.raw))
		case in.Version == 3 && interval > 40950*time.Millisecond:
			v.errorf(at, "%s is out of range, allowed with version = 3 are 10ms to 40.95s", show(at.raw))
		case in.Version == 3 && interval%(10*time.Millisecond) != 0:
			v.errorf(at, "%s is not a multiple of 10ms, allowed with version = 3 are 10ms to 40.95s in steps of 10ms", show(at.raw))
		}
	}

	if auth := at.child("authentication"); auth.exists() && v.ok(auth) {
		if in.Version == 3 && versionKnown {
			v.errorf(auth, "VRRP version 3 has no authentication (RFC 9568), allowed is a password with version = 2")
		}
		if at := auth.child("password"); v.ok(at) && at.exists() {
			n := len(in.Authentication.Password)
			switch {
			case n == 0:
				v.errorf(at, "the password is empty, allowed are 1 to 8 bytes")
			case n > 8:
				v.errorf(at, "the password has %d bytes, allowed are 1 to 8: an advert holds no more, and keepalived silently cuts off the rest (a peer that does so expects the first 8)", n)
			case strings.IndexByte(string(in.Authentication.Password), 0) >= 0:
				v.errorf(at, "the password holds a NUL byte, allowed are 1 to 8 bytes without it")
			}
		}
	}

	if in.NoPreempt && v.ok(at.child("priority")) {
		at := at.child("nopreempt")
		switch {
		case in.Priority == 255:
			v.errorf(at, "contradicts priority = 255, allowed with nopreempt is a priority from 1 to 254: the address owner always takes over (RFC 9568 section 6.1)")
		case in.InitialState == "MASTER":
			v.warnf(at, "together with state = \"MASTER\" is unusual: the state is only a hint, and nopreempt works as if it were \"BACKUP\"")
		}
	}
}

// virtualAddress checks one address and fills in its device.
func (v *validator) virtualAddress(e place, in *Instance, a *VirtualAddress) {
	if a.Device == "" {
		a.Device = in.Interface
	}
	at := e.child("address")
	shown := a.Prefix.String()
	if s, ok := at.raw.(string); ok {
		shown = s
	}
	if what := hostAddressProblem(a.Prefix.Addr()); what != "" {
		if a.Prefix.Addr().Is6() {
			what = "is an IPv6 address"
			v.errorf(at, "%q %s, allowed are IPv4 addresses: this version runs VRRP over IPv4 only", shown, what)
		} else {
			v.errorf(at, "%q %s, allowed is the address of a host", shown, what)
		}
	} else if what := networkProblem(a.Prefix); what != "" {
		v.errorf(at, "%q %s, allowed is the address of a host", shown, what)
	}
	if at := e.child("label"); at.exists() && v.ok(at) && a.Device != "" &&
		a.Label != a.Device && !strings.HasPrefix(a.Label, a.Device+":") {
		v.errorf(at, "%q does not begin with the device, allowed is %q, or %q and more, at most %d characters",
			a.Label, a.Device, a.Device+":", maxInterfaceName)
	}
}

// hostAddressProblem says why an address cannot be an IPv4 host's, "" when it can.
func hostAddressProblem(a netip.Addr) string {
	switch {
	case !a.Is4():
		return "is an IPv6 address"
	case a.IsLoopback():
		return "is a loopback address"
	case a.IsMulticast():
		return "is a multicast address"
	case a.As4()[0] == 0:
		return "is not the address of a host"
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return "is the broadcast address"
	}
	return ""
}

// networkProblem says that an IPv4 address is the first or the last of its
// network. The masks /31 (RFC 3021) and /32 have neither.
func networkProblem(p netip.Prefix) string {
	if p.Bits() >= 31 {
		return ""
	}
	host := uint32(1)<<(32-p.Bits()) - 1
	b := p.Addr().As4()
	switch n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3]); n & host {
	case 0:
		return "is the address of the network itself"
	case host:
		return "is the broadcast address of its network"
	}
	return ""
}

// unknownName reports a name for which there is no table [kind.NAME].
func (v *validator) unknownName(at place, kind, name string, names []string) {
	if near := nearest(name, names); near != "" {
		v.errorf(at, "there is no [%s.%s], did you mean %q?", kind, quoteKey(name), near)
		return
	}
	if len(names) == 0 {
		v.errorf(at, "there is no [%s.%s], and no other %s", kind, quoteKey(name), kind)
		return
	}
	const most = 10
	shown := names
	if len(shown) > most {
		shown = shown[:most]
	}
	more := ""
	if len(names) > most {
		more = ", ..."
	}
	v.errorf(at, "there is no [%s.%s], allowed are %s%s", kind, quoteKey(name), orList(shown), more)
}
