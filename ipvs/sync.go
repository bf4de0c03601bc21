package ipvs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// SyncRole is what a connection-sync daemon of the kernel does, numbered as in
// linux/ip_vs.h. A namespace has at most one of each.
type SyncRole uint8

// The roles.
const (
	SyncMaster SyncRole = 1 // sends what it knows of connections
	SyncBackup SyncRole = 2 // learns from others
)

// String returns master, backup, or sync-N.
func (r SyncRole) String() string {
	switch r {
	case SyncMaster:
		return "master"
	case SyncBackup:
		return "backup"
	}
	return "sync-" + strconv.Itoa(int(r))
}

// What the kernel takes where a SyncDaemon says nothing.
const (
	SyncPort = 8848
	SyncTTL  = 1
	// syncMTU is the MTU that a master's messages fit in by default.
	syncMTU = 1500
)

// SyncDaemon is one of the kernel's connection-sync daemons.
type SyncDaemon struct {
	Role SyncRole
	// ID tells groups of directors apart, 0..255. A backup takes only messages with
	// its own; with 0 it takes all.
	ID        uint8
	Interface string     // that messages leave and arrive by
	Group     netip.Addr // multicast group; the zero Addr means 224.0.0.81
	Port      uint16     // of UDP; 0 means SyncPort
	TTL       uint8      // of messages; 0 means SyncTTL
	// MaxLen is the longest message in bytes. 0 means what fits in an MTU of 1500,
	// for a backup at least that: the kernel takes the interface's own MTU there.
	MaxLen uint16
}

// Canonical returns the daemon with what the kernel takes for what is left out; MaxLen
// of a backup stays 0.
func (d SyncDaemon) Canonical() SyncDaemon {
	if !d.Group.IsValid() {
		d.Group = netip.AddrFrom4([4]byte{224, 0, 0, 81})
	}
	if d.Port == 0 {
		d.Port = SyncPort
	}
	if d.TTL == 0 {
		d.TTL = SyncTTL
	}
	if d.MaxLen == 0 && d.Role == SyncMaster {
		d.MaxLen = d.defaultLen()
	}
	return d
}

// defaultLen is an MTU of 1500 without the headers of IP and UDP.
func (d SyncDaemon) defaultLen() uint16 {
	if d.Group.Is6() {
		return syncMTU - 40 - 8
	}
	return syncMTU - 20 - 8
}

// Does reports whether a daemon that the kernel has does what d asks for.
func (d SyncDaemon) Does(has SyncDaemon) bool {
	d, has = d.Canonical(), has.Canonical()
	if d.MaxLen == 0 && has.MaxLen >= d.defaultLen() {
		has.MaxLen = 0
	}
	return d == has
}

// Valid reports what the kernel would refuse or garble. The error wraps EINVAL.
func (d SyncDaemon) Valid() error {
	switch c := d.Canonical(); {
	case d.Role != SyncMaster && d.Role != SyncBackup:
		return fmt.Errorf("%w: there is no sync daemon %v", syscall.EINVAL, d.Role)
	case d.Interface == "" || len(d.Interface) > maxName || strings.ContainsRune(d.Interface, 0):
		return fmt.Errorf("%w: %q is no interface", syscall.EINVAL, d.Interface)
	case !c.Group.IsMulticast() || c.Group.Zone() != "":
		return fmt.Errorf("%w: %v is no multicast group", syscall.EINVAL, d.Group)
	}
	return nil
}

// String describes the daemon: master on eth1, id 7, group 224.0.0.81 port 8848 ttl 1.
func (d SyncDaemon) String() string {
	c := d.Canonical()
	s := fmt.Sprintf("%v on %s, id %d, group %v port %d ttl %d", c.Role, c.Interface, c.ID, c.Group, c.Port, c.TTL)
	if d.MaxLen != 0 {
		s += fmt.Sprintf(" maxlen %d", d.MaxLen)
	}
	return s
}

// SyncOp starts or stops a sync daemon. To change one it must be stopped and started.
type SyncOp struct {
	Start  bool
	Daemon SyncDaemon // of a stop only the Role and ID count
}

// String returns what the operation does, as ipvsadm's options name it.
func (o SyncOp) String() string {
	if !o.Start {
		return fmt.Sprintf("--stop-daemon %v", o.Daemon.Role)
	}
	d := o.Daemon.Canonical()
	s := fmt.Sprintf("--start-daemon %v --mcast-interface %s --syncid %d --mcast-group %v --mcast-port %d --mcast-ttl %d",
		d.Role, d.Interface, d.ID, d.Group, d.Port, d.TTL)
	if o.Daemon.MaxLen != 0 {
		s += fmt.Sprintf(" --sync-maxlen %d", o.Daemon.MaxLen)
	}
	return s
}

// DiffSync returns the operations that lead from the daemons in have to those in want:
// first what is to go or to change is stopped, then what is missing is started. A
// daemon that want does not list is stopped when owned says that it is ours; a nil
// owned says so of none.
func DiffSync(have, want []SyncDaemon, owned func(SyncRole) bool) []SyncOp {
	var stops, starts []SyncOp
	for _, role := range []SyncRole{SyncMaster, SyncBackup} {
		h, has := FindSync(have, role)
		w, wanted := FindSync(want, role)
		switch {
		case has && wanted && !w.Does(h), has && !wanted && owned != nil && owned(role):
			stops = append(stops, SyncOp{Daemon: h})
			has = false
		}
		if wanted && !has {
			starts = append(starts, SyncOp{Start: true, Daemon: w})
		}
	}
	return append(stops, starts...)
}

// FindSync returns the daemon of a role, false when list has none.
func FindSync(list []SyncDaemon, role SyncRole) (SyncDaemon, bool) {
	for _, d := range list {
		if d.Role == role {
			return d, true
		}
	}
	return SyncDaemon{}, false
}

// ApplySync does to the daemons what the kernel would do on the operation, and fails
// where it fails, with nothing changed:
//
//   - EEXIST: starting one that runs;
//   - ESRCH: stopping one that does not run;
//   - EINVAL: what is not Valid, and starting one while the table has a real server of
//     another address family than its service's.
//
// That there is no such interface (ENODEV) cannot be known here.
func ApplySync(have []SyncDaemon, t Table, op SyncOp) ([]SyncDaemon, error) {
	_, runs := FindSync(have, op.Daemon.Role)
	if !op.Start {
		if op.Daemon.Role != SyncMaster && op.Daemon.Role != SyncBackup {
			return have, syscall.EINVAL
		}
		if !runs {
			return have, syscall.ESRCH
		}
		var left []SyncDaemon
		for _, d := range have {
			if d.Role != op.Daemon.Role {
				left = append(left, d)
			}
		}
		return left, nil
	}
	if err := op.Daemon.Valid(); err != nil {
		return have, err
	}
	if t.Mixed() {
		return have, syscall.EINVAL
	}
	if runs {
		return have, syscall.EEXIST
	}
	d := op.Daemon.Canonical()
	if d.MaxLen == 0 {
		d.MaxLen = d.defaultLen()
	}
	return append(have[:len(have):len(have)], d), nil
}

// Mixed reports whether a real server is of another address family than its service.
// The kernel has no sync daemon while there is one, and takes none while a sync daemon
// runs.
func (t Table) Mixed() bool {
	for k, e := range t {
		for d := range e.Dests {
			if FamilyOf(d.Addr()) != k.IPFamily() {
				return true
			}
		}
	}
	return false
}

// SyncStats tell how sync fares. The kernel counts no messages; these are what it
// does show.
type SyncStats struct {
	// Learned and Own are connections that other directors told of, and those that
	// clients made through this one. Partial says that there are more.
	Learned, Own uint64
	Partial      bool
	// Sockets of the backup: messages that wait to be read, in bytes, and those that
	// were dropped for want of space.
	Queued, Dropped uint64
}

// Timeouts are how long IPVS remembers an idle connection: an established TCP
// one, a TCP one after FIN, and a UDP exchange. Whole seconds; 0 leaves a timeout as
// it is.
type Timeouts struct {
	TCP, TCPFin, UDP time.Duration
}

// Over returns t with what it leaves out taken from o.
func (t Timeouts) Over(o Timeouts) Timeouts {
	if t.TCP == 0 {
		t.TCP = o.TCP
	}
	if t.TCPFin == 0 {
		t.TCPFin = o.TCPFin
	}
	if t.UDP == 0 {
		t.UDP = o.UDP
	}
	return t
}
