package link

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// kernel is what the Worker does its work with. One goroutine uses it.
type kernel struct {
	handle  *netlink.Handle
	own     map[int]*nl.SocketHandle // for messages of our own
	packet  int                      // AF_PACKET socket that only sends
	devices map[string]*device
	walls   *firewall // nil until a Block needs it
	former  Former    // of settings
}

// device is what is known of an interface while work goes on.
type device struct {
	Interface
	found     time.Time
	asked6    bool // forwards6 is known
	forwards6 bool // it forwards IPv6
}

// deviceAge is how long a device is not looked up again. A name seldom changes
// hands, and when its old index is gone the kernel says so.
const deviceAge = 100 * time.Millisecond

func openKernel() (_ *kernel, err error) {
	k := &kernel{packet: -1, devices: make(map[string]*device)}
	defer func() {
		if err != nil {
			k.close()
		}
	}()
	if k.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("link: open netlink: %w", err)
	}
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("link: open netlink: %w", err)
	}
	// Where the kernel can (4.20), it refuses what it does not understand in a dump
	// and obeys what it does, instead of listing everything.
	_ = unix.SetsockoptInt(socket.GetFd(), unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	k.own = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	// Protocol 0: it receives nothing.
	k.packet, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("link: open packet socket: %w", err)
	}
	return k, nil
}

func (k *kernel) close() {
	if k.handle != nil {
		k.handle.Close()
	}
	for _, s := range k.own {
		s.Close()
	}
	if k.packet >= 0 {
		_ = unix.Close(k.packet)
	}
	if k.walls != nil {
		k.walls.close()
	}
}

// forget drops what is known of devices, when there is nothing to do.
func (k *kernel) forget() { clear(k.devices) }

// device finds an interface by its name.
func (k *kernel) device(name string) (*device, error) {
	now := time.Now()
	if d := k.devices[name]; d != nil && now.Sub(d.found) < deviceAge {
		return d, nil
	}
	l, err := linkNamed(k.handle, name)
	if err != nil {
		delete(k.devices, name)
		return nil, err
	}
	d := &device{Interface: interfaceOf(l), found: now}
	k.devices[name] = d
	return d, nil
}

// linkNamed looks an interface up, and says ENODEV when there is none, as the kernel
// does of an index.
func linkNamed(h *netlink.Handle, name string) (netlink.Link, error) {
	l, err := h.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		err = unix.ENODEV
	}
	return l, err
}

// on runs a request on a device, and once more when the device that was
// remembered under this name is gone.
func (k *kernel) on(name string, request func(*device) error) error {
	for {
		_, remembered := k.devices[name]
		d, err := k.device(name)
		if err != nil {
			return err
		}
		err = request(d)
		if !remembered || !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENXIO) {
			return err
		}
		delete(k.devices, name)
	}
}

// request sends one message to the kernel and waits for its answer: a fixed header
// and attributes, none of which is nil.
func (k *kernel) request(command, flags int, parts ...nl.NetlinkRequestData) ([][]byte, error) {
	request := nl.NewNetlinkRequest(command, flags|unix.NLM_F_ACK)
	request.Sockets = k.own
	for _, p := range parts {
		request.AddData(p)
	}
	return request.Execute(unix.NETLINK_ROUTE, 0)
}

// absent says that an error means: what was to be removed is not there. It may
// have gone with its interface.
func absent(err error) bool {
	for _, e := range []error{unix.EADDRNOTAVAIL, unix.ESRCH, unix.ENOENT, unix.ENODEV, unix.ENXIO} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// onAll is on for requests that name several devices: it hands over their indexes.
func (k *kernel) onAll(names []string, request func(index map[string]int) error) error {
	for again := false; ; again = true {
		index := make(map[string]int, len(names))
		remembered := false
		for _, name := range names {
			remembered = remembered || k.devices[name] != nil
			d, err := k.device(name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			index[name] = d.Index
		}
		err := request(index)
		if again || !remembered || !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENXIO) {
			return err
		}
		k.forget()
	}
}
