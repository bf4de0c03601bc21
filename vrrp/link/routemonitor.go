package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// RouteEvent tells that a route or a rule was removed, or replaced by another one.
// Without a Key notifications were lost: anything may have been removed.
type RouteEvent struct{ Key Key }

// RouteMonitor tells of routes and rules that are removed.
//
// It has a socket of its own, apart from Monitor's, so that a routing daemon that
// moves a million routes delays no news of interfaces; and a filter in the kernel
// drops everything but removals and replacements.
type RouteMonitor struct {
	socket *nl.NetlinkSocket
	emit   func(RouteEvent)
	done   chan struct{}
}

// StartRouteMonitor begins to report to emit, from a goroutine of its own, until ctx
// ends. The kernel does not tell of IPv4 routes that go because their interface goes
// down or an address of it is removed.
func StartRouteMonitor(ctx context.Context, emit func(RouteEvent)) (*RouteMonitor, error) {
	return startRouteMonitor(ctx, emit, monitorBuffer)
}

func startRouteMonitor(ctx context.Context, emit func(RouteEvent), buffer int) (*RouteMonitor, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
		unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE)
	if err != nil {
		return nil, fmt.Errorf("link: subscribe to route changes: %w", err)
	}
	setBuffer(socket.GetFd(), unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, buffer)
	if err := filterRoutes(socket.GetFd()); err != nil {
		socket.Close()
		return nil, fmt.Errorf("link: filter route changes: %w", err)
	}
	m := &RouteMonitor{socket: socket, emit: emit, done: make(chan struct{})}
	go m.run(ctx)
	return m, nil
}

// Wait returns when the monitor has ended; emit is not called any more then.
func (m *RouteMonitor) Wait() { <-m.done }

func (m *RouteMonitor) run(ctx context.Context) {
	defer close(m.done)
	stop := context.AfterFunc(ctx, m.socket.Close)
	defer stop()
	for ctx.Err() == nil {
		messages, from, err := m.socket.Receive()
		switch {
		case err == nil && from.Pid == 0: // from the kernel
			for i := range messages {
				if key, ok := removedKey(&messages[i]); ok {
					m.emit(RouteEvent{key})
				}
			}
		case err == nil:
		case errors.Is(err, os.ErrClosed):
			return
		default: // ENOBUFS: some were lost
			m.emit(RouteEvent{})
			_ = sleep(ctx, 100*time.Millisecond)
		}
	}
}

// removedKey tells which route or rule a notification is about.
func removedKey(msg *syscall.NetlinkMessage) (Key, bool) {
	switch msg.Header.Type {
	case unix.RTM_DELRULE:
		if r, ok := parseRule(msg.Data); ok {
			return r.Key(), true
		}
	case unix.RTM_DELROUTE, unix.RTM_NEWROUTE:
		if id, _, ok := parseRoute(msg.Data); ok {
			return id.key(), true
		}
	}
	return Key{}, false
}

// filterRoutes keeps RTM_DELROUTE, RTM_DELRULE, and RTM_NEWROUTE with NLM_F_REPLACE.
// The filter reads numbers in network order, and the header is in the host's.
func filterRoutes(fd int) error {
	swap := func(v uint16) uint32 {
		var b [2]byte
		nl.NativeEndian().PutUint16(b[:], v)
		return uint32(b[0])<<8 | uint32(b[1])
	}
	return attach(fd, []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2}, // nlmsg_type
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swap(unix.RTM_DELROUTE), SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swap(unix.RTM_DELRULE), SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: swap(unix.RTM_NEWROUTE), SkipFalse: 3},
		bpf.LoadAbsolute{Off: 6, Size: 2}, // nlmsg_flags
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: swap(unix.NLM_F_REPLACE), SkipFalse: 1},
		bpf.RetConstant{Val: 1 << 18},
		bpf.RetConstant{Val: 0},
	})
}

// parseRoute reads what a route is found by, and who put it there.
func parseRoute(m []byte) (id routeID, protocol uint8, ok bool) {
	if len(m) < unix.SizeofRtMsg {
		return routeID{}, 0, false
	}
	msg := nl.DeserializeRtMsg(m)
	zero, known := zeroAddr(msg.Family)
	if !known || msg.Flags&unix.RTM_F_CLONED != 0 {
		return routeID{}, 0, false
	}
	id = routeID{table: uint32(msg.Table), tos: msg.Tos, kind: msg.Type, to: netip.PrefixFrom(zero, int(msg.Dst_len))}
	for kind, v := range attributes(behind(m, unix.SizeofRtMsg)) {
		switch kind {
		case unix.RTA_TABLE:
			id.table = uint32Of(v)
		case unix.RTA_PRIORITY:
			id.metric = uint32Of(v)
		case unix.RTA_DST:
			id.to = prefixOf(v, msg.Dst_len)
		case unix.RTA_SRC:
			id.from = prefixOf(v, msg.Src_len)
		}
	}
	return id, msg.Protocol, id.to.IsValid() && id.to.Addr().Is4() == zero.Is4()
}

func zeroAddr(family uint8) (netip.Addr, bool) {
	switch family {
	case unix.AF_INET:
		return netip.IPv4Unspecified(), true
	case unix.AF_INET6:
		return netip.IPv6Unspecified(), true
	}
	return netip.Addr{}, false
}

func uint32Of(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return nl.NativeEndian().Uint32(b)
}

func prefixOf(b []byte, bits uint8) netip.Prefix {
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, int(bits))
}

// parseRule reads a rule.
func parseRule(m []byte) (*Rule, bool) {
	if len(m) < unix.SizeofRtMsg {
		return nil, false
	}
	msg := nl.DeserializeRtMsg(m) // its layout is that of struct fib_rule_hdr
	if _, known := zeroAddr(msg.Family); !known {
		return nil, false
	}
	r := &Rule{
		IPv6: msg.Family == unix.AF_INET6, TOS: msg.Tos, Invert: msg.Flags&netlink.FibRuleInvert != 0,
		SuppressPrefix: -1, SuppressGroup: -1, Table: uint32(msg.Table),
	}
	for name, number := range ruleActions {
		if name != "" && number == msg.Type {
			r.Action = name
		}
	}
	for kind, v := range attributes(behind(m, unix.SizeofRtMsg)) {
		n := uint32Of(v)
		switch kind {
		case nl.FRA_PRIORITY:
			r.Priority = n
		case nl.FRA_SRC:
			r.From = prefixOf(v, msg.Src_len)
		case nl.FRA_DST:
			r.To = prefixOf(v, msg.Dst_len)
		case nl.FRA_FWMARK:
			r.Mark = n
		case nl.FRA_FWMASK:
			r.Mask = n
		case nl.FRA_IIFNAME:
			r.IIf = nameOf(v)
		case nl.FRA_OIFNAME:
			r.OIf = nameOf(v)
		case nl.FRA_UID_RANGE:
			if len(v) >= 8 {
				r.UID = &Range32{n, uint32Of(v[4:])}
			}
		case nl.FRA_IP_PROTO:
			r.IPProto = first(v)
		case nl.FRA_SPORT_RANGE:
			r.Sport = portsOf(v)
		case nl.FRA_DPORT_RANGE:
			r.Dport = portsOf(v)
		case nl.FRA_TUN_ID:
			for _, b := range v {
				r.TunnelID = r.TunnelID<<8 | uint64(b)
			}
		case nl.FRA_L3MDEV:
			r.L3Mdev = first(v) != 0
		case nl.FRA_TABLE:
			r.Table = n
		case nl.FRA_GOTO:
			r.Goto = n
		case nl.FRA_SUPPRESS_PREFIXLEN:
			r.SuppressPrefix = int(int32(n))
		case nl.FRA_SUPPRESS_IFGROUP:
			r.SuppressGroup = int(int32(n))
		case nl.FRA_PROTOCOL:
			r.Protocol = first(v)
		}
	}
	return r, true
}

func nameOf(b []byte) string {
	name, _, _ := strings.Cut(string(b), "\x00")
	return name
}

func first(b []byte) uint8 {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func portsOf(b []byte) Range16 {
	if len(b) < 4 {
		return Range16{}
	}
	return Range16{nl.NativeEndian().Uint16(b), nl.NativeEndian().Uint16(b[2:])}
}
