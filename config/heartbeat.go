package config

// Heartbeat is a further path over which an instance sends each of its adverts
// and hears those of the other routers. The master is dead only when all paths
// are silent.
type Heartbeat struct {
	// Interface carries the path: by multicast, or to Peers. Without Peers it is an
	// interface other than the instance's.
	Interface string `toml:"interface" form:"interface" default:"=the instance's interface" alias:"dev device iface nic"`
	// Peers are the other routers of a path by unicast; none: multicast.
	Peers  []UnicastPeer `toml:"unicast_peer" short:"address" alias:"unicast_peers peers"`
	Source PerFamily     `toml:"unicast_src_ip" default:"=the interface's primary address"`
	TTL    uint8         `toml:"unicast_ttl" default:"255" min:"1" max:"255"`
}

// Unicast says that adverts go to peers, not to the multicast group.
func (h *Heartbeat) Unicast() bool { return len(h.Peers) > 0 }
