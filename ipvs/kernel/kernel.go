package kernel

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	moby "github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"director/ipvs"
)

// ErrNoIPVS says that the kernel has no IPVS and that asking for it did not
// load it.
var ErrNoIPVS = errors.New("the kernel has no IPVS: run `modprobe ip_vs` (in a container: on the host), and see that the module is installed")

// Kernel is the IPVS of one network namespace.
type Kernel struct {
	mu   sync.Mutex
	conn *conn
	moby *moby.Handle
	path string // of the namespace, "" for that of the process
	info Info

	tables tables
}

// Info is what IPVS says of itself.
type Info struct {
	Version   string // of IPVS, such as 1.2.1
	TableSize int    // buckets of the connection table
}

// Open connects to the IPVS of the calling thread's network namespace. It fails with an
// error that wraps ErrNoIPVS when the kernel has none, and one that wraps
// EPERM without CAP_NET_ADMIN. Neither mends itself: a process that got ErrNoIPVS
// should end rather than try again.
func Open() (*Kernel, error) { return open("") }

// OpenNamespace is Open in the network namespace of a file such as /run/netns/lvs,
// without leaving its own. The error wraps os.ErrNotExist when there is none.
func OpenNamespace(path string) (*Kernel, error) {
	var k *Kernel
	var err error
	if e := InNamespace(path, func() { k, err = open(path) }); e != nil {
		return nil, fmt.Errorf("ipvs: open: %w", e)
	}
	return k, err
}

// InNamespace has a thread of its own do something in the network namespace of a file
// such as /run/netns/lvs, and waits for it. Its error says that the thread cannot go
// there; then nothing was done.
func InNamespace(path string, do func()) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with this goroutine, in the other namespace
		err := enter(path)
		if err == nil {
			do()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		return fmt.Errorf("network namespace %s: %w", path, err)
	}
	return nil
}

// enter moves the calling thread into a network namespace.
func enter(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

func open(path string) (*Kernel, error) {
	// The question itself makes the kernel load ip_vs where it can. It must come
	// before moby.New, which looks once in a process's life and takes a "no" for
	// success for ever.
	family, err := netlink.GenlFamilyGet(familyName)
	if errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("ipvs: open: %w", ErrNoIPVS)
	}
	if err != nil {
		return nil, fmt.Errorf("ipvs: open: %w", err)
	}
	c, err := dial(family.ID)
	if err != nil {
		return nil, fmt.Errorf("ipvs: open: %w", err)
	}
	k := &Kernel{conn: c, path: path}
	if k.info, err = readInfo(c); err != nil {
		c.close()
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w (CAP_NET_ADMIN is needed)", err)
		}
		return nil, fmt.Errorf("ipvs: open: %w", err)
	}
	logrus.SetOutput(io.Discard) // moby/ipvs is its only user here
	if k.moby, err = moby.New(path); err != nil {
		c.close()
		return nil, fmt.Errorf("ipvs: open: %w", err)
	}
	k.tables = openTables()
	return k, nil
}

func readInfo(c *conn) (info Info, err error) {
	err = c.call(cmdGetInfo, unix.NLM_F_ACK, nil, func(m message) error {
		a, err := m.attributes()
		if err != nil {
			return err
		}
		for a.next() {
			switch a.typ {
			case infoVersion:
				v := a.uint()
				info.Version = fmt.Sprintf("%d.%d.%d", v>>16&0xff, v>>8&0xff, v&0xff)
			case infoTableSize:
				info.TableSize = int(a.uint())
			}
		}
		return a.err
	})
	return info, err
}

// Info returns what IPVS said of itself when it was opened.
func (k *Kernel) Info() Info { return k.info }

// Close ends the connection. The table stays in the kernel. What is called
// afterwards fails with os.ErrClosed.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.moby != nil {
		k.moby.Close()
		k.moby = nil
		k.tables.close()
	}
	return k.conn.close()
}

// Apply does operations in order and returns one error for each, nil where it
// was done; it returns nil when all were. A failure does not stop what follows.
// Each error is an *ipvs.OpError around the kernel's errno, or around what says
// that the outcome is unknown; after any error the table should be dumped.
//
// Neighbouring operations on real servers go to the kernel in batches.
func (k *Kernel) Apply(ops []ipvs.Op) []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	errs := make([]error, len(ops))
	for i := 0; i < len(ops); {
		if errs[i] = ops[i].Valid(); errs[i] != nil {
			i++
			continue
		}
		if !batched(ops[i]) {
			errs[i] = k.service(ops[i])
			i++
			continue
		}
		j := i + 1
		for j < len(ops) && batched(ops[j]) && ops[j].Valid() == nil {
			j++
		}
		k.conn.batch(ops[i:j], errs[i:j])
		i = j
	}
	failed := false
	for i, err := range errs {
		if err != nil {
			failed = true
			errs[i] = &ipvs.OpError{Op: ops[i], Err: err}
		}
	}
	if !failed {
		return nil
	}
	return errs
}

// batched reports whether an operation goes by the own encoder.
func batched(op ipvs.Op) bool {
	return op.Kind.OnDest() || op.Key.Addr.Addr().Is4In6()
}

// service does an operation on a service through moby/ipvs.
func (k *Kernel) service(op ipvs.Op) error {
	s := mobyService(op.Key, op.Service)
	return k.withMoby(func(h *moby.Handle) error {
		switch op.Kind {
		case ipvs.AddService:
			return h.NewService(s)
		case ipvs.EditService:
			return h.UpdateService(s)
		}
		return h.DelService(s)
	})
}

// withMoby runs a call of moby/ipvs, which waits for ever for an answer that
// was lost: closing the handle under it is what ends the wait.
func (k *Kernel) withMoby(call func(*moby.Handle) error) error {
	if k.moby == nil {
		return os.ErrClosed
	}
	h := k.moby
	late := time.AfterFunc(k.conn.timeout, h.Close)
	err := call(h)
	if late.Stop() {
		return err
	}
	k.moby = nil
	if h, err := moby.New(k.path); err == nil {
		k.moby = h
	}
	return fmt.Errorf("%w: %w", errUnknownOutcome, os.ErrDeadlineExceeded)
}

func mobyService(key ipvs.ServiceKey, s ipvs.Service) *moby.Service {
	s = s.Canonical()
	m := &moby.Service{
		AddressFamily: sysFamily(key.IPFamily()),
		FWMark:        key.FWMark,
		SchedName:     s.Scheduler,
		Flags:         uint32(s.Flags),
		Timeout:       s.PersistenceTimeout,
		Netmask:       encodeMask(key.IPFamily(), s.PersistenceMask),
		PEName:        s.PersistenceEngine,
	}
	if key.FWMark == 0 {
		m.Protocol = uint16(key.Protocol)
		m.Address = net.IP(key.Addr.Addr().AsSlice())
		m.Port = key.Addr.Port()
	}
	return m
}

// Flush removes every service of the namespace, whoever made it.
func (k *Kernel) Flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.withMoby((*moby.Handle).Flush); err != nil {
		return fmt.Errorf("ipvs: flush: %w", err)
	}
	return nil
}

// Timeouts returns the timeouts in force.
func (k *Kernel) Timeouts() (t ipvs.Timeouts, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err = k.withMoby(func(h *moby.Handle) error {
		c, err := h.GetConfig()
		if err != nil {
			return err
		}
		t = ipvs.Timeouts{TCP: c.TimeoutTCP, TCPFin: c.TimeoutTCPFin, UDP: c.TimeoutUDP}
		return nil
	})
	if err != nil {
		return t, fmt.Errorf("ipvs: read the timeouts: %w", err)
	}
	return t, nil
}

// SetTimeouts sets the timeouts; one that is 0 stays as it is. Negative ones
// and fractions of a second are refused with EINVAL.
func (k *Kernel) SetTimeouts(t ipvs.Timeouts) error {
	for _, d := range []time.Duration{t.TCP, t.TCPFin, t.UDP} {
		if d < 0 || d%time.Second != 0 {
			return fmt.Errorf("ipvs: set the timeouts: %v is not in whole seconds: %w", d, syscall.EINVAL)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.withMoby(func(h *moby.Handle) error {
		return h.SetConfig(&moby.Config{TimeoutTCP: t.TCP, TimeoutTCPFin: t.TCPFin, TimeoutUDP: t.UDP})
	})
	if err != nil {
		return fmt.Errorf("ipvs: set the timeouts: %w", err)
	}
	return nil
}
