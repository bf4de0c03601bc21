package config

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Presence is how the virtual addresses appear to others on the link and to the
// programs of this host.
type Presence struct {
	// UseVMAC gives the virtual addresses a MAC address of their own that goes with
	// them from router to router (RFC 9568 section 7.3), on an interface made for them.
	UseVMAC bool `toml:"use_vmac" default:"false" alias:"vmac" told:"true"`
	// VMACInterface is the name of that interface.
	VMACInterface string `toml:"vmac_interface" json:",omitzero" form:"interface" default:"=vrrp.VRID, over IPv6 vrrp6.VRID" alias:"vmac_name"`
	// VMACAddress is the virtual MAC address.
	VMACAddress string `toml:"vmac_address" json:",omitzero" form:"mac" default:"=00:00:5e:00:01:VRID, over IPv6 00:00:5e:00:02:VRID" alias:"vmac_mac"`
	// VMACXmitBase sends adverts under the MAC address of the instance's interface.
	VMACXmitBase bool `toml:"vmac_xmit_base" default:"=true with unicast_peer, else false"`
	// Accept lets the programs of this host answer on the virtual addresses
	// (Accept_Mode of RFC 9568 section 6.1).
	Accept bool `toml:"accept" default:"true" alias:"no_accept"`
}

// VMACDevice returns the name of the interface with the virtual MAC address of a
// family, empty when the instance has none.
func (i *Instance) VMACDevice(ipv6 bool) string {
	switch {
	case !i.UseVMAC || !i.Family(ipv6):
		return ""
	case i.VMACInterface != "":
		return i.VMACInterface
	case ipv6:
		return fmt.Sprintf("vrrp6.%d", i.VRID)
	}
	return fmt.Sprintf("vrrp.%d", i.VRID)
}

// VMAC returns the virtual MAC address of a family (RFC 9568 section 7.3).
func (i *Instance) VMAC(ipv6 bool) [6]byte {
	if mac, ok := parseMAC(i.VMACAddress); ok {
		return mac
	}
	mac := [6]byte{0x00, 0x00, 0x5e, 0x00, 0x01, i.VRID}
	if ipv6 {
		mac[4] = 0x02
	}
	return mac
}

// deviceOf returns where a virtual address is that names no device.
func (i *Instance) deviceOf(ipv6 bool) string {
	// An excluded address of a family without adverts of its own goes with the others.
	for _, family := range []bool{ipv6, !ipv6} {
		if name := i.VMACDevice(family); name != "" {
			return name
		}
	}
	return i.Interface
}

// parseMAC reads an Ethernet address of a host.
func parseMAC(s string) (mac [6]byte, ok bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(strings.ReplaceAll(s, ":", ""), "-", ""))
	if err != nil || len(b) != 6 || len(s) != 17 || b[0]&1 != 0 || [6]byte(b) == [6]byte{} {
		return mac, false
	}
	return [6]byte(b), true
}

// presence checks what an instance says of its virtual MAC address and of who may
// use its addresses, and resolves what depends on other keys.
func (v *validator) presence(at place, in *Instance, owners map[string]place) {
	xmit, off := at.child("vmac_xmit_base"), at.child("use_vmac").exists()
	if !in.UseVMAC {
		for _, key := range []string{"vmac_interface", "vmac_address", "vmac_xmit_base"} {
			// With the switch there, but off, somebody tries how it is without.
			if at := at.child(key); at.exists() && !off {
				v.errorf(at.atKey(), "has no meaning without use_vmac = true, allowed is it together with that")
			}
		}
	} else {
		if in.Unicast() {
			if xmit.exists() && v.ok(xmit) && !in.VMACXmitBase {
				v.errorf(xmit, "contradicts unicast_peer, allowed with peers is true: adverts to them take the way that the host's routes show")
			}
			in.VMACXmitBase = true
		}
		if in.Family(true) && in.Family(false) {
			for _, key := range []string{"vmac_interface", "vmac_address"} {
				if at := at.child(key); at.exists() && v.ok(at) {
					v.errorf(at, "is one for two, allowed is it in an instance with addresses of one family: over IPv4 and over IPv6 it has a virtual MAC address each")
				}
			}
		}
		for _, ipv6 := range []bool{false, true} {
			name := in.VMACDevice(ipv6)
			nameAt := at.child("vmac_interface")
			if !nameAt.exists() {
				nameAt = at.child("use_vmac")
			}
			if name == "" || !v.ok(nameAt) {
				continue
			}
			if first, taken := owners[name]; taken {
				v.errorf(nameAt, "%s is already the interface of the virtual MAC address of %s, allowed is another name: set vmac_interface", name, ref(first))
			} else if name == in.Interface {
				v.errorf(nameAt, "%s is the interface of the instance itself, allowed is a name that no interface has", name)
			}
			owners[name] = at
		}
	}
	if at := at.child("accept"); at.exists() && v.ok(at) && !in.Accept && in.Priority == 255 {
		v.errorf(at, "contradicts priority = 255, allowed is true: the address owner takes what is sent to its addresses (RFC 9568 section 6.4.3)")
	}
}
