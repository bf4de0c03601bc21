package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Readiness is how this host judges whether it could serve, and whom it compares
// itself with.
type Readiness struct {
	// Weight is added to the priority of every instance while this host could not
	// serve. 0: it is told and changes nothing.
	Weight int `toml:"weight" default:"0" min:"-253" max:"0"`
	// Delay is how long that must be so before it counts, and how long it must be over.
	Delay Duration `toml:"delay" default:"10s" min:"0s" max:"1h"`
	// DoctorInterval is the period at which director doctor's checks are made.
	DoctorInterval Duration `toml:"doctor_interval" default:"5m" min:"10s" max:"24h"`
	// Listen is the UDP address and port that reports arrive at and leave from.
	Listen netip.AddrPort `toml:"listen" json:",omitzero"`
	// Peers are the other directors: the addresses and ports that they listen on.
	Peers    []ReadinessPeer `toml:"peer" short:"address" json:",omitempty" alias:"peers"`
	Interval Duration        `toml:"interval" default:"2s" min:"200ms" max:"1m"` // between two reports
	// Key signs the reports; it is given in one of three ways.
	Key        Secret `toml:"key" json:",omitempty"`
	KeyFile    string `toml:"key_file" form:"file" json:",omitempty"`
	Credential string `toml:"credential" form:"name" json:",omitempty"`
}

// ReadinessPeer is another director: the address and port that it listens on.
type ReadinessPeer struct {
	Address netip.AddrPort `toml:"address" required:"true"`
}

// KeyBytes returns the key, which may be written as text or as hex: and digits.
func (r *Readiness) KeyBytes() ([]byte, error) { return keyBytes(r.Key) }

// readiness checks [readiness].
func (v *validator) readiness() {
	r, at := v.cfg.Readiness, v.root.child("readiness")
	if r == nil || !v.ok(at) {
		return
	}
	peers, listen := at.child("peer"), at.child("listen")
	if len(r.Peers) == 0 {
		for _, key := range [...]string{"listen", "key", "key_file", "credential", "interval"} {
			if child := at.child(key); child.exists() && v.ok(child) {
				v.errorf(child.atKey(), "has no meaning without peer, allowed are both or neither")
			}
		}
		return
	}
	v.anySecret(at, "key", "key_file", "credential", r.Key, checkKey)
	if !listen.exists() {
		v.errorf(listen, "is missing, required with peer is the address and port that this host hears the peer on, such as \"10.0.0.1:8849\"")
	} else if v.ok(listen) && (r.Listen.Port() == 0 || r.Listen.Addr().IsUnspecified() || r.Listen.Addr().IsMulticast()) {
		v.errorf(listen, "%s is not an address of this host with a port, allowed is one such as \"10.0.0.1:8849\": the peer knows this host by it", show(listen.raw))
	}
	for i, e := range peers.list() {
		e = e.asShort("address").child("address")
		switch p := r.Peers[i].Address; {
		case !v.ok(e) || !p.IsValid():
		case p.Port() == 0 || hostAddressProblem(p.Addr()) != "" && p.Addr().Is4():
			v.errorf(e, "%s is not the address of a host with a port, allowed is one such as \"10.0.0.2:8849\"", show(e.raw))
		case p == r.Listen:
			v.errorf(e, "%s is listen as well, allowed is the address of another host", show(e.raw))
		case r.Listen.IsValid() && p.Addr().Is4() != r.Listen.Addr().Is4():
			v.errorf(e, "%s is of another IP version than listen, allowed is the same", show(e.raw))
		case slices.Contains(r.Peers[:i], r.Peers[i]):
			v.errorf(e, "%s is already in the list, allowed is each once", show(e.raw))
		}
	}
}

// Digests returns a digest of what the files of two directors that stand in for each
// other have to agree on, by section: vrrp_instance, vrrp_sync_group and virtual_server.
// What each host has for itself, such as priority and addresses of its own, is not in it.
func (c *Config) Digests() map[string]string {
	var instances, groups, services []string
	for i := range c.Instances {
		in := &c.Instances[i]
		text := in.Name
		for _, a := range agreements() {
			text += fmt.Sprintf("\x00%s=%s", strings.Join(a.key, "."), a.of(in))
		}
		instances = append(instances, text)
	}
	for i := range c.Groups {
		members := slices.Sorted(slices.Values(c.Groups[i].Members))
		groups = append(groups, c.Groups[i].Name+"\x00"+strings.Join(members, "\x00"))
	}
	for i := range c.VirtualServers {
		v := &c.VirtualServers[i]
		text := fmt.Sprintf("%s\x00%v\x00%s\x00%s\x00%s\x00%d", v.Name, v.Services(), v.Scheduler, v.Forwarding, v.PersistenceTimeout, v.Quorum)
		var servers []string
		for j := range v.RealServers {
			r := &v.RealServers[j]
			servers = append(servers, fmt.Sprintf("\x00%s %d %s", r.Address, r.Weight, r.Forwarding))
		}
		slices.Sort(servers)
		for _, s := range v.SorryServers {
			servers = append(servers, fmt.Sprintf("\x00sorry %s %s", s.Address, s.Forwarding))
		}
		services = append(services, text+strings.Join(servers, ""))
	}
	sum := func(list []string) string {
		slices.Sort(list)
		d := sha256.Sum256([]byte(strings.Join(list, "\x01")))
		return hex.EncodeToString(d[:8])
	}
	return map[string]string{"vrrp_instance": sum(instances), "vrrp_sync_group": sum(groups), "virtual_server": sum(services)}
}
