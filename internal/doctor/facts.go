package doctor

import (
	"net/netip"

	"director/internal/control"
)

// Facts is what is known of a host. The zero value knows nothing.
type Facts struct {
	// Sysctl holds kernel settings by their path below /proc/sys, such as
	// net/ipv4/ip_forward.
	Sysctl map[string]string
	// Links are the interfaces, nil: not known.
	Links []Link
	// Ways tells for each address of Questions how the kernel would send to it.
	Ways map[netip.Addr]Way
	// Outward is the interface of the default route, by "ipv4" and "ipv6"; empty:
	// there is none.
	Outward map[string]string
	// Learned holds the interfaces whose default IPv6 route came by router advertisement.
	Learned []string
	Rules   bool // there are routing rules beside the kernel's own

	Modules Modules
	// Services are those in the kernel's IPVS table, nil: not known.
	Services []Service
	// Answers holds the MAC address that answered for an address of Probes and Suspects
	// on its link, empty: nobody did. Addresses that were not asked for are not in it.
	Answers map[netip.Addr]string
	// Firewall holds the fate of the packets of Traffic, by their names; nil: not known.
	Firewall  map[string]Fate
	Translate bool // the firewall translates sources (a nat chain at postrouting)

	Processes []Process // that matter to director, of this network namespace as far as that can be seen
	Units     []string  // units of rivals that systemd starts at boot
	Listeners []Listener
	Mentions  []Mention // of virtual addresses in the configuration of others
	Networkd  Networkd

	ClockKnown, ClockSynchronised bool
	Virtual                       string // the hypervisor, such as "VMware, Inc."; empty: none is known

	RuntimeDir RuntimeDir
	Unit       map[string]string // properties of the unit that the daemon runs in, by name
	Daemon     *control.Status   // nil: no daemon answers
	Denied     bool              // there may be a daemon, but this user may not ask it
	DaemonCaps uint64            // of the running parent, as bits; valid with a Daemon
	// OtherConfig says that the daemon runs another file than the one looked at.
	OtherConfig bool
	Advice      []Advice // of the configuration's own checks

	Unseen []Unseen
}

// Unseen is something that could not be looked at.
type Unseen struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Link is an interface.
type Link struct {
	Name     string
	Kind     string // such as macvlan; empty: hardware
	Alias    string
	MAC      string
	Up       bool // switched on
	Carrier  bool
	MTU      int
	Master   string // the bridge, bond or VRF that it is part of
	MasterOf string // the kind of that, such as bridge
	Wireless bool
	// Offloads that join packets in hardware (LRO) are on.
	LargeReceive bool
	Addresses    []netip.Prefix
}

// Way is how the kernel would send to an address.
type Way struct {
	Local   bool // it is this host's own
	Device  string
	Gateway netip.Addr // invalid: on the link
	MTU     int        // of the route; 0: the interface's
	Error   string     // there is no way
}

// Modules says what the kernel can do.
type Modules struct {
	Release string // of the kernel
	Known   bool   // the modules that could be loaded are known
	NoLoad  bool   // the kernel loads none any more
	// State is loaded, builtin, available or missing by name, for those of Needs.
	State map[string]string
	IPVS  bool // the kernel answers for IPVS
}

// Service is a service in the IPVS table.
type Service struct {
	Protocol string // tcp, udp, sctp or fwmark
	Address  netip.AddrPort
	Mark     uint32
}

// Fate is what the firewall does with a packet.
type Fate struct {
	Accepts bool   // it can pass
	Drops   bool   // it can be dropped
	Where   string // what drops it
	Chain   string // the base chain on which it is dropped: family, table and chain
}

// Process is a running program.
type Process struct {
	PID   int
	Name  string
	Args  []string
	Sure  bool // it is known to run in this network namespace
	Other bool // it is known to run in another one
}

// Listener is a program that listens on one address.
type Listener struct {
	Address netip.AddrPort
	Network string // tcp or udp
}

// Mention is a line of another program's configuration with a virtual address.
type Mention struct {
	Address netip.Addr
	File    string
	Line    int
	Text    string
	// Brings says that the file has the address put on an interface at boot; else the
	// program binds it.
	Brings bool
}

// Networkd is what is known of systemd-networkd.
type Networkd struct {
	Runs                    bool
	KeepsRoutes, KeepsRules bool // it leaves those of others alone
}

// RuntimeDir is the folder of the control socket.
type RuntimeDir struct {
	Path        string
	Exists      bool
	IsDir       bool
	Mode        uint32 // permission bits
	Socket      string
	RecordError string // the record of owned services cannot be used
}

// Advice is a warning or an error of the configuration's own checks.
type Advice struct {
	Severity Severity
	Line     int
	Key      string
	Text     string
}
