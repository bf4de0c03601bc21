package config

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// VirtualAddress is one address that the MASTER owns.
type VirtualAddress struct {
	// Prefix is the address with its mask; an address without a mask is /32 or /128.
	Prefix netip.Prefix `toml:"address" required:"true"`
	Device string       `toml:"device" json:",omitzero" form:"interface" default:"=the instance's interface" alias:"dev"`
	AddressOptions
}

// StaticAddress is an address that is there as long as the daemon lives.
type StaticAddress struct {
	Prefix netip.Prefix `toml:"address" required:"true"`
	Device string       `toml:"device" form:"interface" required:"true" alias:"dev"`
	AddressOptions
}

// AddressOptions are what ip-address(8) knows about an address.
type AddressOptions struct {
	Label string `toml:"label" json:",omitzero" form:"label"` // the device's name, or that, a colon and more; at most 15 bytes
	// Scope is global, site, link, host, nowhere or a number from 0 to 255.
	Scope string `toml:"scope" json:",omitzero" form:"scope" default:"global"`
	// Broadcast is an address, "+" for the last address of the subnet or "-" for its
	// first; empty: none.
	Broadcast string `toml:"broadcast" json:",omitzero" form:"broadcast" alias:"brd"`
	// Peer is the other end of a point-to-point link; its mask takes the place of the
	// address's own.
	Peer          netip.Prefix `toml:"peer" json:",omitzero"`
	Home          bool         `toml:"home" json:",omitzero" default:"false"`
	DAD           bool         `toml:"dad" json:",omitzero" default:"false"` // keepalived's -nodad
	ManageTemp    bool         `toml:"mngtmpaddr" json:",omitzero" default:"false"`
	NoPrefixRoute bool         `toml:"noprefixroute" json:",omitzero" default:"false"`
	AutoJoin      bool         `toml:"autojoin" json:",omitzero" default:"false"`
	// PreferredLifetime is whole seconds as a duration, or forever. "0s": deprecated
	// from the start.
	PreferredLifetime string `toml:"preferred_lft" json:",omitzero" form:"lifetime" default:"=0s for an IPv6 address alone (/128), else forever"`
	NoTrack           bool   `toml:"no_track" json:",omitzero" default:"false"` // its removal by somebody else is not repaired
}

// BroadcastOf returns the broadcast address that goes with an address, invalid: none.
func (o *AddressOptions) BroadcastOf(p netip.Prefix) netip.Addr {
	switch {
	case o.Broadcast == "" || !p.Addr().Is4():
		return netip.Addr{}
	case o.Broadcast != "+" && o.Broadcast != "-":
		a, _ := netip.ParseAddr(o.Broadcast) // the validation has seen it
		return a
	}
	if o.Broadcast == "+" {
		return lastOf(p)
	}
	return p.Masked().Addr()
}

// Preferred returns for how many seconds an IPv6 address is preferred; false: for
// ever.
func (o *AddressOptions) Preferred(p netip.Prefix) (seconds uint32, limited bool) {
	if !p.Addr().Is6() {
		return 0, false
	}
	if o.PreferredLifetime == "" {
		return 0, p.IsSingleIP()
	}
	return parseLifetime(o.PreferredLifetime)
}

// parseLifetime reads a lifetime whose form was found right.
func parseLifetime(s string) (seconds uint32, limited bool) {
	d, err := time.ParseDuration(s)
	return uint32(d / time.Second), err == nil
}

func isLifetime(s string) bool {
	if s == "forever" {
		return true
	}
	d, err := time.ParseDuration(s)
	return err == nil && s != "0" && d >= 0 && d%time.Second == 0 && d/time.Second < math.MaxUint32
}

var scopes = map[string]uint8{"global": 0, "universe": 0, "site": 200, "link": 253, "host": 254, "nowhere": 255}

// ScopeNumber returns the kernel's number of a scope; false when it is none.
func ScopeNumber(s string) (uint8, bool) {
	if n, ok := scopes[s]; ok {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return uint8(n), err == nil && !strings.HasPrefix(s, "+")
}
