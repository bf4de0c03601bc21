package config

import "net/netip"

// BFD is one BFD session (RFC 5880; keepalived: bfd_instance): it notices within
// a few packets that a host, or the way to it, is dead. Every session runs,
// whether it is used or not. The intervals' defaults are ten times keepalived's,
// which a busy or virtual host does not keep: it would be declared dead by a hiccup.
type BFD struct {
	Name      string     // the table's name: [bfd.NAME]
	Neighbor  netip.Addr `toml:"neighbor_ip" required:"true" alias:"neighbour_ip neighbor neighbour peer"`
	Source    netip.Addr `toml:"source_ip" default:"=by the kernel's routes" alias:"source"`
	Interface string     `toml:"interface" form:"interface" default:"=any" alias:"dev device iface"` // packets leave and arrive here only
	// MinRx and MinTx are the shortest intervals at which packets are wanted and
	// sent; the slower side's wish counts in each direction.
	MinRx Duration `toml:"min_rx" default:"100ms" min:"10ms" max:"60s"`
	MinTx Duration `toml:"min_tx" default:"100ms" min:"10ms" max:"60s"`
	// IdleTx is the interval of packets while the session is not up.
	IdleTx Duration `toml:"idle_tx" default:"1s" min:"1s" max:"60s"`
	// Multiplier is how many packets the neighbour misses before it takes us for
	// dead. Its own says how many we miss.
	Multiplier uint8 `toml:"multiplier" default:"5" min:"1" max:"255" alias:"detect_multiplier detect_mult"`
	Passive    bool  `toml:"passive" default:"false"` // says nothing until the neighbour was heard
	// TTL is the time to live or hop limit of packets. Default 255, which a single
	// hop demands.
	TTL      uint8 `toml:"ttl" default:"255" min:"1" max:"255" alias:"hoplimit hop_limit"`
	Multihop bool  `toml:"multihop" default:"false"` // RFC 5883: the neighbour is on another network
	// MaxHops is how many routers may be on the way: packets with a time to live
	// below 255 less that are dropped; 255 admits all.
	MaxHops uint8 `toml:"max_hops" default:"0" min:"0" max:"255" told:"true"`
	Weight  int   `toml:"weight" default:"0" min:"-253" max:"253"` // for those that track it and say none
	Reverse bool  `toml:"reverse" default:"false"`
}

// BFDTrigger is a session that makes a BACKUP take over when it goes down while
// the router with Address, the source of its adverts, is MASTER.
type BFDTrigger struct {
	Name    string     `toml:"name" form:"name" required:"true"`
	Address netip.Addr `toml:"address" default:"=the session's neighbor_ip"`
}
