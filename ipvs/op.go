package ipvs

import (
	"fmt"
	"strconv"
	"strings"
)

// OpKind is what an operation does.
type OpKind uint8

// The kinds of operation.
const (
	AddService OpKind = iota + 1
	EditService
	AddDest
	EditDest
	DeleteDest
	DeleteService
)

// String returns add, edit or delete.
func (k OpKind) String() string {
	switch k {
	case AddService, AddDest:
		return "add"
	case EditService, EditDest:
		return "edit"
	case DeleteDest, DeleteService:
		return "delete"
	}
	return "op-" + strconv.Itoa(int(k))
}

// OnDest reports whether the operation concerns a real server.
func (k OpKind) OnDest() bool { return k == AddDest || k == EditDest || k == DeleteDest }

// Op is one operation on the kernel's table. It is a plain, comparable value.
type Op struct {
	Kind    OpKind
	Key     ServiceKey
	Service Service     // AddService, EditService: the new settings
	DestKey DestKey     // operations on a real server
	Dest    Destination // AddDest, EditDest: the new settings
}

// String returns the ipvsadm command line, without the command's name, that
// does the same: -a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1.
func (o Op) String() string {
	var b strings.Builder
	switch o.Kind {
	case AddService:
		b.WriteString("-A ")
	case EditService:
		b.WriteString("-E ")
	case AddDest:
		b.WriteString("-a ")
	case EditDest:
		b.WriteString("-e ")
	case DeleteDest:
		b.WriteString("-d ")
	case DeleteService:
		b.WriteString("-D ")
	default:
		b.WriteString(o.Kind.String() + " ")
	}
	b.WriteString(o.Key.adm())
	switch o.Kind {
	case AddService, EditService:
		writeService(&b, o.Service.Canonical())
	case AddDest, EditDest:
		fmt.Fprintf(&b, " -r %v", o.DestKey)
		writeDest(&b, o.Dest.Canonical())
	case DeleteDest:
		fmt.Fprintf(&b, " -r %v", o.DestKey)
	}
	return b.String()
}

func writeService(b *strings.Builder, s Service) {
	fmt.Fprintf(b, " -s %s", s.Scheduler)
	if s.Flags&FlagPersistent != 0 {
		fmt.Fprintf(b, " -p %d", s.PersistenceTimeout)
		if m := s.PersistenceMask; m.Is4() {
			fmt.Fprintf(b, " -M %v", m)
		} else if n, ok := MaskBits(m); ok {
			fmt.Fprintf(b, " -M %d", n)
		}
	}
	if s.PersistenceEngine != "" {
		fmt.Fprintf(b, " --pe %s", s.PersistenceEngine)
	}
	if s.Flags&FlagOnePacket != 0 {
		b.WriteString(" -o")
	}
	if names := s.FlagNames(); len(names) > 0 {
		b.WriteString(" -b " + strings.Join(names, ","))
	}
}

// FlagNames returns ipvsadm's names of the scheduler's flags that are set.
func (s Service) FlagNames() []string {
	var names []string
	for i, f := range []ServiceFlags{FlagSched1, FlagSched2, FlagSched3} {
		if s.Flags&f != 0 {
			names = append(names, flagName(s.Scheduler, i+1))
		}
	}
	return names
}

// flagName returns ipvsadm's name of a scheduler's flag, of FlagSched1..3 the number 1..3.
func flagName(scheduler string, n int) string {
	if (scheduler == "sh" || scheduler == "mh") && n < 3 {
		return scheduler + []string{"-fallback", "-port"}[n-1]
	}
	return "flag-" + strconv.Itoa(n)
}

func writeDest(b *strings.Builder, d Destination) {
	switch d.Forwarding {
	case NAT:
		b.WriteString(" -m")
	case Tunnel:
		b.WriteString(" -i")
	case DirectRoute:
		b.WriteString(" -g")
	default:
		b.WriteString(" --" + d.Forwarding.String())
	}
	fmt.Fprintf(b, " -w %d", d.Weight)
	if d.UpperThreshold != 0 || d.LowerThreshold != 0 {
		fmt.Fprintf(b, " -x %d -y %d", d.UpperThreshold, d.LowerThreshold)
	}
	if d.Forwarding != Tunnel {
		return
	}
	fmt.Fprintf(b, " --tun-type %v", d.TunnelType)
	if d.TunnelType == GUE {
		fmt.Fprintf(b, " --tun-port %d", d.TunnelPort)
	}
	if d.TunnelType == IPIP {
		return
	}
	switch d.TunnelFlags {
	case 0:
		b.WriteString(" --tun-nocsum")
	case TunnelChecksum:
		b.WriteString(" --tun-csum")
	case TunnelRemoteChecksum:
		b.WriteString(" --tun-remcsum")
	default:
		fmt.Fprintf(b, " --tun-flags %#x", uint16(d.TunnelFlags))
	}
}

// Object returns what the operation does to which object, as error messages
// and logs name it: add 192.0.2.1:80/tcp 10.0.0.1:80.
func (o Op) Object() string {
	s := o.Kind.String() + " " + o.Key.String()
	if o.Kind.OnDest() {
		s += " " + o.DestKey.String()
	}
	return s
}

// OpError is an operation that failed, with its cause, most often a
// syscall.Errno. It reads: ipvs: add 192.0.2.1:80/tcp 10.0.0.1:80: file exists.
type OpError struct {
	Op  Op
	Err error
}

func (e *OpError) Error() string { return "ipvs: " + e.Op.Object() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }
