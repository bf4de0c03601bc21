package ipvs

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// maxName is the longest name of a scheduler or persistence engine, in bytes.
const maxName = 15

// Valid reports what in an operation cannot be said to the kernel, or would
// be garbled by it without an error. What the kernel itself refuses is not
// looked at here; see Table.Apply. The error wraps EINVAL or ERANGE.
func (o Op) Valid() error {
	if o.Kind < AddService || o.Kind > DeleteService {
		return fmt.Errorf("%w: no such operation", syscall.EINVAL)
	}
	k := o.Key
	if k.FWMark == 0 && !k.Addr.IsValid() {
		return fmt.Errorf("%w: the service has no address and no firewall mark", syscall.EINVAL)
	}
	if k != k.Canonical() {
		return fmt.Errorf("%w: the service's key is not canonical", syscall.EINVAL)
	}
	if o.Kind.OnDest() {
		if !o.DestKey.IsValid() || o.DestKey != CanonicalDest(o.DestKey) {
			return fmt.Errorf("%w: the real server has no plain address", syscall.EINVAL)
		}
	}
	if o.Kind == AddService && k.FWMark == 0 && k.Protocol != TCP && k.Protocol != UDP && k.Protocol != SCTP {
		return fmt.Errorf("%w: IPVS does not balance %v", syscall.EINVAL, k.Protocol) // the kernel takes it and never matches it
	}
	if o.Kind == AddService || o.Kind == EditService {
		return o.Service.valid(k.IPFamily())
	}
	return nil
}

func (s Service) valid(f Family) error {
	for _, name := range []string{s.Scheduler, s.PersistenceEngine} {
		if len(name) > maxName || strings.ContainsRune(name, 0) {
			return fmt.Errorf("%w: the name %.32q is longer than %d bytes", syscall.EINVAL, name, maxName)
		}
	}
	if s.PersistenceTimeout > MaxPersistence {
		return fmt.Errorf("%w: a persistence of %d s is longer than %d s", syscall.ERANGE, s.PersistenceTimeout, MaxPersistence)
	}
	if m := s.PersistenceMask; m.IsValid() {
		n, prefix := MaskBits(m)
		if FamilyOf(m) != f || f == IPv6 && (!prefix || n == 0) {
			return fmt.Errorf("%w: %v is no persistence mask for %v", syscall.EINVAL, m, f)
		}
	}
	return nil
}

// Apply does to the table what the kernel would do on the operation, and fails
// where the kernel fails, with the same error and nothing changed:
//
//   - EEXIST: adding what is there;
//   - ESRCH: a service that is not there, in any operation but AddService;
//   - ENOENT: a real server that is not there; a scheduler or engine unknown to Linux;
//   - ERANGE: a negative weight, a lower threshold above the upper one;
//   - EINVAL: a real server's address that is not unicast, another address family
//     than the service's without a tunnel, a GUE tunnel without a port.
//
// The error is an *OpError. What cannot be known here (memory, modules that are
// not installed, addresses that are local) is taken to be well.
func (t Table) Apply(o Op) error {
	if err := t.apply(o); err != nil {
		return &OpError{Op: o, Err: err}
	}
	return nil
}

func (t Table) apply(o Op) error {
	if err := o.Valid(); err != nil {
		return err
	}
	e := t[o.Key]
	switch {
	case o.Kind == AddService && e != nil:
		return syscall.EEXIST
	case o.Kind != AddService && e == nil:
		return syscall.ESRCH
	}
	switch o.Kind {
	case AddService, EditService:
		if !slices.Contains(Schedulers(), o.Service.Scheduler) {
			return syscall.ENOENT
		}
		if pe := o.Service.PersistenceEngine; pe != "" && !slices.Contains(Engines(), pe) {
			return syscall.ENOENT
		}
		t.Set(o.Key, o.Service.Canonical())
	case DeleteService:
		delete(t, o.Key)
	default:
		return e.apply(o)
	}
	return nil
}

// apply does an operation on a real server. The checks stand in the kernel's order.
func (e *Entry) apply(o Op) error {
	d := o.Dest.Canonical()
	_, exists := e.Dests[o.DestKey]
	if o.Kind == DeleteDest {
		if !exists {
			return syscall.ENOENT
		}
		delete(e.Dests, o.DestKey)
		return nil
	}
	switch {
	case FamilyOf(o.DestKey.Addr()) != o.Key.IPFamily() && d.Forwarding != Tunnel:
		return syscall.EINVAL
	case d.Weight < 0 || d.LowerThreshold > d.UpperThreshold:
		return syscall.ERANGE
	case d.TunnelType == GUE && d.TunnelPort == 0:
		return syscall.EINVAL
	case o.Kind == AddDest && exists:
		return syscall.EEXIST
	case o.Kind == EditDest && !exists:
		return syscall.ENOENT
	case o.Kind == AddDest && !unicast(o.DestKey.Addr()):
		return syscall.EINVAL
	}
	if e.Dests == nil {
		e.Dests = map[DestKey]Destination{}
	}
	e.Dests[o.DestKey] = d
	return nil
}

// unicast reports whether the kernel takes an address for a real server's.
func unicast(a netip.Addr) bool {
	if a.Is4() {
		return !a.IsUnspecified() && !a.IsMulticast() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast()
}
