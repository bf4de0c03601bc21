package ipvs

// Counters are the kernel's counts since an object was made or last zeroed,
// and its present rates a second (averages over some seconds).
type Counters struct {
	Connections           uint64
	InPackets, OutPackets uint64
	InBytes, OutBytes     uint64

	ConnectionRate              uint64
	InPacketRate, OutPacketRate uint64
	InByteRate, OutByteRate     uint64
}

// Add returns the sums of two objects' counts and rates.
func (c Counters) Add(o Counters) Counters {
	return Counters{
		Connections: c.Connections + o.Connections,
		InPackets:   c.InPackets + o.InPackets, OutPackets: c.OutPackets + o.OutPackets,
		InBytes: c.InBytes + o.InBytes, OutBytes: c.OutBytes + o.OutBytes,
		ConnectionRate: c.ConnectionRate + o.ConnectionRate,
		InPacketRate:   c.InPacketRate + o.InPacketRate, OutPacketRate: c.OutPacketRate + o.OutPacketRate,
		InByteRate: c.InByteRate + o.InByteRate, OutByteRate: c.OutByteRate + o.OutByteRate,
	}
}

// DestStats are the counts of one real server.
type DestStats struct {
	Active     uint32 // established connections
	Inactive   uint32 // all others that are still remembered
	Persistent uint32 // clients bound by persistence
	Counters   Counters
}

// ServiceStats are the counts of one virtual service and its real servers.
type ServiceStats struct {
	Counters Counters
	Dests    map[DestKey]DestStats
}

// Stats are the counts of every service.
type Stats map[ServiceKey]*ServiceStats
