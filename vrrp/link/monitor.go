package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// monitorBuffer holds some 3,000 address changes that the monitor has not read
// yet; more make it list everything again.
const monitorBuffer = 8 << 20

// Monitor follows the interfaces and addresses of the host.
type Monitor struct {
	socket  *nl.NetlinkSocket
	handle  *netlink.Handle
	emit    func(Event)
	table   table
	resyncs atomic.Uint64
	done    chan struct{}
}

// StartMonitor begins to report interfaces and addresses to emit, from a
// goroutine of its own: first a LinkChanged for each interface there is, with
// its addresses, then Synced, then each change. It ends with ctx.
//
// When the kernel dropped notifications because too many came at once, the
// monitor lists everything again and emits the differences: intermediate states
// may be left out, the final one never is.
//
// An error means that the sockets could not be opened or the first listing failed;
// later failures are retried for as long as ctx lives.
func StartMonitor(ctx context.Context, emit func(Event)) (*Monitor, error) {
	return startMonitor(ctx, emit, monitorBuffer)
}

func startMonitor(ctx context.Context, emit func(Event), buffer int) (*Monitor, error) {
	// The subscription comes before the listing: nothing falls between them.
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return nil, fmt.Errorf("link: subscribe to interface changes: %w", err)
	}
	setBuffer(socket.GetFd(), unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, buffer)
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("link: open netlink: %w", err)
	}
	m := &Monitor{socket: socket, handle: handle, emit: emit, table: newTable(), done: make(chan struct{})}
	listed, err := m.list(ctx)
	if err != nil {
		socket.Close()
		handle.Close()
		return nil, err
	}
	go m.run(ctx, listed)
	return m, nil
}

// Wait returns when the monitor has ended; emit is not called any more then.
func (m *Monitor) Wait() { <-m.done }

// Resyncs returns how often everything was listed again because notifications
// were lost. Any goroutine may call it.
func (m *Monitor) Resyncs() uint64 { return m.resyncs.Load() }

func (m *Monitor) run(ctx context.Context, listed table) {
	defer close(m.done)
	defer m.handle.Close()
	// Closing the socket is what ends a Receive that waits.
	stop := context.AfterFunc(ctx, m.socket.Close)
	defer stop()

	m.table.replace(listed, m.emit)
	m.emit(Event{Kind: Synced})
	for ctx.Err() == nil {
		messages, from, err := m.socket.Receive()
		switch {
		case err == nil:
			if from.Pid == 0 { // from the kernel
				for i := range messages {
					m.handleMessage(&messages[i])
				}
			}
		case errors.Is(err, os.ErrClosed):
			return
		default:
			// ENOBUFS: notifications were lost. Nothing else is known to happen here;
			// whatever it is, a listing is right.
			m.resync(ctx)
		}
	}
}

// resync brings the table up to date by listing everything.
func (m *Monitor) resync(ctx context.Context) {
	m.resyncs.Add(1)
	for ctx.Err() == nil {
		// What is still queued is older than the gap and must not be applied on top
		// of the listing. While the queue has not been empty, the kernel goes on
		// dropping notifications.
		m.discard()
		listed, err := m.list(ctx)
		if err == nil {
			m.table.replace(listed, m.emit)
			return
		}
		sleep(ctx, 100*time.Millisecond)
	}
}

func (m *Monitor) discard() {
	buffer := make([]byte, 64<<10)
	for {
		_, _, err := unix.Recvfrom(m.socket.GetFd(), buffer, unix.MSG_DONTWAIT)
		if err != nil && err != unix.ENOBUFS && err != unix.EINTR {
			return // EAGAIN: empty
		}
	}
}

// list asks the kernel for all links and addresses.
func (m *Monitor) list(ctx context.Context) (table, error) {
	links, err := undisturbed(ctx, m.handle.LinkList)
	if err != nil {
		return table{}, fmt.Errorf("link: list interfaces: %w", err)
	}
	addresses, err := undisturbed(ctx, func() ([]netlink.Addr, error) {
		return m.handle.AddrList(nil, netlink.FAMILY_ALL)
	})
	if err != nil {
		return table{}, fmt.Errorf("link: list addresses: %w", err)
	}
	t := newTable()
	for _, l := range links {
		t.setLink(interfaceOf(l))
	}
	for _, a := range addresses {
		// An interface that appeared between the two listings is left to its
		// notification.
		if entry, ok := addressOf(a); ok {
			t.addAddress(a.LinkIndex, entry)
		}
	}
	return t, nil
}

// undisturbed repeats a listing for as long as the kernel says that its table
// changed under it, which makes the result incomplete.
func undisturbed[T any](ctx context.Context, list func() ([]T, error)) ([]T, error) {
	for {
		result, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return result, err
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// handleMessage applies one notification.
func (m *Monitor) handleMessage(msg *syscall.NetlinkMessage) {
	switch msg.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(msg.Data) < unix.SizeofIfInfomsg {
			return
		}
		info := nl.DeserializeIfInfomsg(msg.Data)
		// A bridge reports that a port left it as the deletion of a link of its own
		// family; the port is still there.
		if info.Family != unix.AF_UNSPEC {
			return
		}
		if msg.Header.Type == unix.RTM_DELLINK {
			m.table.removeLink(int(info.Index), m.emit)
			return
		}
		header := unix.NlMsghdr(msg.Header)
		l, err := netlink.LinkDeserialize(&header, msg.Data)
		if err != nil {
			return // a kind of link that the library cannot read has no addresses of ours
		}
		m.table.changeLink(interfaceOf(l), m.emit)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		index, entry, ok := parseAddress(msg.Data)
		if !ok {
			return
		}
		if msg.Header.Type == unix.RTM_NEWADDR {
			m.table.changeAddress(index, entry, m.emit)
		} else {
			m.table.removeAddress(index, entry.prefix, m.emit)
		}
	}
}
