package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"
)

// Lengths of the two headers before a message's attributes.
const (
	nlHeaderLen   = 16
	genlHeaderLen = 4
	attrHeaderLen = 4
)

// typeMask takes the flags off an attribute's type.
const typeMask = 0x3fff

var native = binary.NativeEndian

// errMalformed is what a message from the kernel is that cannot be understood.
var errMalformed = errors.New("malformed message from the kernel")

// appendMessage begins a generic netlink message; endMessage writes its length
// once its attributes were appended.
func appendMessage(b []byte, family, flags uint16, seq uint32, cmd uint8) []byte {
	b = native.AppendUint32(b, 0)
	b = native.AppendUint16(b, family)
	b = native.AppendUint16(b, flags)
	b = native.AppendUint32(b, seq)
	b = native.AppendUint32(b, 0) // port: the kernel fills in the sender's
	return append(b, cmd, version, 0, 0)
}

func endMessage(b []byte, start int) {
	native.PutUint32(b[start:], uint32(len(b)-start))
}

// appendNest begins an attribute that holds others; endNest ends it.
func appendNest(b []byte, typ uint16) (next []byte, start int) {
	start = len(b)
	b = native.AppendUint16(b, 0)
	return native.AppendUint16(b, typ|unix.NLA_F_NESTED), start
}

func endNest(b []byte, start int) {
	native.PutUint16(b[start:], uint16(len(b)-start))
}

func appendAttr(b []byte, typ uint16, value ...byte) []byte {
	b = native.AppendUint16(b, uint16(attrHeaderLen+len(value)))
	b = native.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func appendU16(b []byte, typ, v uint16) []byte {
	var x [2]byte
	native.PutUint16(x[:], v)
	return appendAttr(b, typ, x[:]...)
}

func appendU32(b []byte, typ uint16, v uint32) []byte {
	var x [4]byte
	native.PutUint32(x[:], v)
	return appendAttr(b, typ, x[:]...)
}

func appendPort(b []byte, typ, port uint16) []byte {
	return appendAttr(b, typ, byte(port>>8), byte(port))
}

func appendAddr(b []byte, typ uint16, a netip.Addr) []byte {
	if a.Is4() {
		x := a.As4()
		return appendAttr(b, typ, x[:]...)
	}
	x := a.As16()
	return appendAttr(b, typ, x[:]...)
}

// attributes walks a buffer of netlink attributes:
//
//	for a := (attributes{rest: b}); a.next(); {
//		use a.typ, a.value
//	}
//	if a.err != nil { ... }
//
// A length that does not fit ends the walk with an error.
type attributes struct {
	rest  []byte
	typ   uint16
	value []byte
	err   error
}

func (a *attributes) next() bool {
	if a.err != nil || len(a.rest) == 0 {
		return false
	}
	if len(a.rest) < attrHeaderLen {
		a.err = fmt.Errorf("%w: %d bytes after the last attribute", errMalformed, len(a.rest))
		return false
	}
	n := int(native.Uint16(a.rest))
	if n < attrHeaderLen || n > len(a.rest) {
		a.err = fmt.Errorf("%w: attribute of %d bytes in %d", errMalformed, n, len(a.rest))
		return false
	}
	a.typ = native.Uint16(a.rest[2:]) & typeMask
	a.value = a.rest[attrHeaderLen:n]
	a.rest = a.rest[min((n+3)&^3, len(a.rest)):]
	return true
}

// uint returns the value of a number of any of the sizes that the kernel uses.
func (a *attributes) uint() uint64 {
	switch len(a.value) {
	case 1:
		return uint64(a.value[0])
	case 2:
		return uint64(native.Uint16(a.value))
	case 4:
		return uint64(native.Uint32(a.value))
	case 8:
		return native.Uint64(a.value)
	}
	a.err = fmt.Errorf("%w: number of %d bytes in attribute %d", errMalformed, len(a.value), a.typ)
	return 0
}

// port returns a number in network byte order.
func (a *attributes) port() uint16 {
	if len(a.value) != 2 {
		a.err = fmt.Errorf("%w: port of %d bytes in attribute %d", errMalformed, len(a.value), a.typ)
		return 0
	}
	return binary.BigEndian.Uint16(a.value)
}

func (a *attributes) string() string {
	s, _, _ := strings.Cut(string(a.value), "\x00")
	return s
}

// message is one netlink message as it arrived.
type message struct {
	typ, flags uint16
	seq        uint32
	body       []byte // after the netlink header
}

// cutMessage takes the first message off a datagram.
func cutMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < nlHeaderLen {
		return m, nil, fmt.Errorf("%w: %d bytes are no header", errMalformed, len(b))
	}
	n := int(native.Uint32(b))
	if n < nlHeaderLen || n > len(b) {
		return m, nil, fmt.Errorf("%w: message of %d bytes in %d", errMalformed, n, len(b))
	}
	m = message{typ: native.Uint16(b[4:]), flags: native.Uint16(b[6:]), seq: native.Uint32(b[8:]), body: b[nlHeaderLen:n]}
	return m, b[min((n+3)&^3, len(b)):], nil
}

// errno returns the error that a message of type NLMSG_ERROR or NLMSG_DONE
// carries, 0 for none.
func (m message) errno() (unix.Errno, error) {
	if len(m.body) < 4 {
		if m.typ == unix.NLMSG_DONE {
			return 0, nil
		}
		return 0, fmt.Errorf("%w: error of %d bytes", errMalformed, len(m.body))
	}
	v := int32(native.Uint32(m.body))
	if v > 0 {
		v = 0 // NLMSG_DONE may carry a length
	}
	return unix.Errno(-int64(v)), nil
}

// nest returns the attributes within the one attribute of the given type that
// the message carries.
func (m message) nest(typ uint16) ([]byte, error) {
	a, err := m.attributes()
	if err != nil {
		return nil, err
	}
	for a.next() {
		if a.typ == typ {
			return a.value, nil
		}
	}
	if a.err != nil {
		return nil, a.err
	}
	return nil, fmt.Errorf("%w: attribute %d is missing", errMalformed, typ)
}

func (m message) attributes() (attributes, error) {
	if len(m.body) < genlHeaderLen {
		return attributes{}, fmt.Errorf("%w: generic header of %d bytes", errMalformed, len(m.body))
	}
	return attributes{rest: m.body[genlHeaderLen:]}, nil
}
