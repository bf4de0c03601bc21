package link

import (
	"errors"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

const (
	trafficClass = 0xc0 // internetwork control
	// priority is TC_PRIO_CONTROL: the first band of the default queue.
	priority = 7
)

// Scope is the interface that a socket is bound to; the zero value is none.
type Scope struct {
	Name  string
	Index int
}

// open makes a UDP socket of the family of an address, with what listeners and
// senders have in common. It is not a member of the runtime's epoll set.
func open(v6 bool, s Scope) (fd int, err error) {
	family := unix.AF_INET
	if v6 {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_UDP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if v6 {
		err = setOption(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1, "IPV6_V6ONLY")
	}
	if err == nil && s.Index != 0 {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, s.Index)
		if errors.Is(err, unix.ENOPROTOOPT) { // before Linux 5.1
			err = unix.BindToDevice(fd, s.Name)
		}
		err = os.NewSyscallError("bind to interface", err)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func setOption(fd, level, option, value int, name string) error {
	return os.NewSyscallError("setsockopt "+name, unix.SetsockoptInt(fd, level, option, value))
}

// sockaddr is an address as the kernel takes it. Link-local addresses need the
// interface.
func sockaddr(a netip.Addr, port uint16, s Scope) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Port: int(port), Addr: a.As4()}
	}
	sa := &unix.SockaddrInet6{Port: int(port), Addr: a.As16()}
	if a.IsLinkLocalUnicast() {
		sa.ZoneId = uint32(s.Index)
	}
	return sa
}
