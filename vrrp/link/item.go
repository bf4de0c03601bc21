package link

import (
	"fmt"
	"net/netip"
)

// Item is something that the kernel is to hold while a router is MASTER, or for
// as long as the daemon lives: an Address, a *Route, a *Rule or a Setting. The
// Worker puts all of them there and takes them off in the same way.
type Item interface {
	// Key tells which item of the kernel this is.
	Key() Key
	// Variant is equal for items of one Key that are alike in all that matters. An
	// item gets another variant only by being removed and added.
	Variant() string
	// String describes the item in the words of ip(8).
	String() string
	// On names the interface that the item is on; empty: none, or the kernel finds it.
	On() string

	add(*kernel) (already bool, err error)
	remove(*kernel) (already bool, err error)
}

// Kind is the kind of an Item.
type Kind uint8

// The kinds.
const (
	KindAddress Kind = iota + 1
	KindRoute
	KindRule
	KindSetting
	KindVMAC
	KindUp
	KindBlock
)

func (k Kind) String() string {
	switch k {
	case KindAddress:
		return "address"
	case KindRoute:
		return "route"
	case KindRule:
		return "rule"
	case KindSetting:
		return "setting"
	case KindVMAC:
		return "vmac"
	case KindUp:
		return "up"
	case KindBlock:
		return "block"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Key identifies an item on the host. Two items of one key cannot be there side
// by side, or need not be.
type Key struct {
	Kind   Kind
	Prefix netip.Prefix // of an address
	Device string       // of an address or a setting
	Rest   string       // of a route, a rule or a setting
}

// Protocol is the number by which the addresses, routes and rules that director
// puts into the kernel are known: "proto 112" in the output of ip(8). It is VRRP's
// IP protocol number. No routing daemon uses it, and for addresses the kernel
// keeps only the numbers 1 to 3 to itself (linux/if_addr.h, IFAPROT_).
const Protocol = 112
