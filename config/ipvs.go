package config

import (
	"net/netip"
)

// IPVSSync is connection sync: the kernel's daemons that tell the other directors of
// the connections through this one and learn of theirs, so that connections survive a
// change of the master (keepalived: lvs_sync_daemon).
type IPVSSync struct {
	// Interface is the one that messages leave and arrive by.
	Interface string `toml:"interface" form:"interface" required:"true" alias:"dev device mcast_interface"`
	// Instance is a VRRP instance: the daemon that sends runs while it is MASTER, the
	// one that learns while it is not. Empty: both run all the time.
	Instance string `toml:"vrrp_instance" form:"name" default:"=both daemons run all the time" json:",omitempty" alias:"instance inst"`
	// ID tells groups of directors on one network apart; resolved.
	ID     uint8      `toml:"sync_id" default:"=0, with vrrp_instance its virtual_router_id" min:"0" max:"255" alias:"id syncid"`
	Group  netip.Addr `toml:"mcast_group" default:"224.0.0.81" alias:"group"`
	Port   uint16     `toml:"port" default:"8848" min:"1" max:"65535" alias:"mcast_port"`
	TTL    uint8      `toml:"ttl" default:"1" min:"1" max:"255" alias:"mcast_ttl"`
	MaxLen uint16     `toml:"max_length" default:"=what fits in an MTU of 1500" min:"1024" max:"65487" json:",omitempty" alias:"maxlen sync_maxlen"` // bytes of a message
}

// IPVSTimeouts are how long IPVS remembers an idle connection (keepalived:
// lvs_timeouts). 0: as it was. They are put back at the stop.
type IPVSTimeouts struct {
	TCP    Duration `toml:"tcp" default:"=as it was" min:"1s" max:"576h" step:"1s" json:",omitempty"`
	TCPFin Duration `toml:"tcp_fin" default:"=as it was" min:"1s" max:"576h" step:"1s" json:",omitempty" alias:"tcpfin"`
	UDP    Duration `toml:"udp" default:"=as it was" min:"1s" max:"576h" step:"1s" json:",omitempty"`
}

// ipvs checks what concerns the kernel's IPVS as a whole.
func (v *validator) ipvs() {
	if at := v.root.child("ipvs_timeouts"); at.exists() && v.ok(at) && v.cfg.IPVSTimeouts != nil && *v.cfg.IPVSTimeouts == (IPVSTimeouts{}) && len(v.errs) == 0 {
		v.errorf(at, "is empty, required is at least one of tcp, tcp_fin and udp")
	}
	s, at := v.cfg.IPVSSync, v.root.child("ipvs_sync")
	if s == nil || !v.ok(at) {
		return
	}
	if group := at.child("mcast_group"); v.ok(group) && !s.Group.IsMulticast() {
		v.errorf(group, "%s is no multicast address, allowed is one such as \"224.0.0.81\"", s.Group)
	}
	if s.Instance != "" && v.ok(at.child("vrrp_instance")) {
		if i, known := v.names.instances.index[s.Instance]; !known {
			v.unknownName(at.child("vrrp_instance"), "vrrp_instance", s.Instance, v.names.instances.list)
		} else if !at.has("sync_id") {
			s.ID = v.cfg.Instances[i].VRID
		}
	}
	for i := range v.cfg.VirtualServers {
		vs := &v.cfg.VirtualServers[i]
		if a, mixed := vs.otherFamily(); mixed {
			v.errorf(at.atKey(), "the real server %s of %s is of another IP version than its service, allowed is [ipvs_sync] or that: the kernel refuses both together",
				a, ref(v.root.child("virtual_server").child(vs.Name)))
			return
		}
	}
}

// otherFamily finds a real server of another IP version than a service of the pool.
func (vs *VirtualServer) otherFamily() (netip.Addr, bool) {
	f := vs.face()
	servers := make([]netip.Addr, 0, len(vs.RealServers)+len(vs.SorryServers))
	for i := range vs.RealServers {
		servers = append(servers, vs.RealServers[i].Address.Addr())
	}
	for i := range vs.SorryServers {
		servers = append(servers, vs.SorryServers[i].Address.Addr())
	}
	for _, a := range servers {
		if a.Is4() && f.six || a.Is6() && f.four {
			return a, true
		}
	}
	return netip.Addr{}, false
}
