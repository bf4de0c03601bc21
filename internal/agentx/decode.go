package agentx

import (
	"errors"
	"fmt"
)

var (
	errShort   = errors.New("it ends too early")
	errVersion = errors.New("not version 1")
	errPayload = errors.New("the length is no multiple of 4 or too great")
)

// ParseHeader reads the first HeaderLen bytes of a PDU and returns how many bytes of
// payload follow, at most MaxPayload. After an error nothing can be said of what
// follows.
func ParseHeader(b []byte) (h Header, payload int, err error) {
	if len(b) < HeaderLen {
		return h, 0, fmt.Errorf("agentx: header: %w", errShort)
	}
	if b[0] != version {
		return h, 0, fmt.Errorf("agentx: header: %w", errVersion)
	}
	h.Type, h.Flags = Type(b[1]), Flags(b[2])
	order := h.Flags.order()
	h.Session, h.Transaction, h.Packet = order.Uint32(b[4:]), order.Uint32(b[8:]), order.Uint32(b[12:])
	n := order.Uint32(b[16:])
	if n > MaxPayload || n%4 != 0 {
		return h, 0, fmt.Errorf("agentx: header of %v: %w", h.Type, errPayload)
	}
	return h, int(n), nil
}

// Decode reads the payload that goes with a header. Every byte must make sense.
func Decode(h Header, payload []byte) (*PDU, error) {
	p := &PDU{Header: h}
	r := &reader{order: h.Flags.order(), in: payload}
	p.parse(r)
	if r.err == nil && len(r.in) > 0 {
		r.fail("%d bytes too many", len(r.in))
	}
	if r.err != nil {
		return nil, fmt.Errorf("agentx: decode %v: %w", h.Type, r.err)
	}
	return p, nil
}

func (p *PDU) parse(r *reader) {
	// The standard lists the types that may have one; net-snmp puts it into any.
	if p.Flags&NonDefaultContext != 0 {
		p.Context = r.octets()
	}
	switch p.Type {
	case Open:
		p.Timeout = r.bytes(4)[0]
		p.Name, _ = r.oid()
		p.Description = r.octets()
	case Close:
		p.Reason = CloseReason(r.bytes(4)[0])
	case Register, Unregister:
		b := r.bytes(4)
		p.Timeout, p.Priority, p.RangeSubID = b[0], b[1], b[2]
		p.Name, _ = r.oid()
		if p.RangeSubID != 0 {
			p.UpperBound = r.number()
		}
	case GetBulk, Get, GetNext:
		if p.Type == GetBulk {
			b := r.bytes(4)
			p.NonRepeaters, p.MaxRepetitions = r.order.Uint16(b), r.order.Uint16(b[2:])
		}
		for r.err == nil && len(r.in) > 0 {
			var s Range
			s.Start, s.Include = r.oid()
			s.End, _ = r.oid()
			p.Ranges = append(p.Ranges, s)
		}
	case TestSet, Notify, IndexAllocate, IndexDeallocate:
		p.Variables = r.variables()
	case CommitSet, UndoSet, CleanupSet, Ping:
	case AddAgentCaps:
		p.Name, _ = r.oid()
		p.Description = r.octets()
	case RemoveAgentCaps:
		p.Name, _ = r.oid()
	case Response:
		p.UpTime = r.number()
		b := r.bytes(4)
		p.Error, p.Index = Error(r.order.Uint16(b)), r.order.Uint16(b[2:])
		p.Variables = r.variables()
	default:
		r.fail("no such type")
	}
}

// reader takes from the front; the first failure stays, and what is read after it is
// zero.
type reader struct {
	order byteOrder
	in    []byte
	err   error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// bytes takes so many; at most 8 may be asked for without looking whether they are
// there.
func (r *reader) bytes(n int) []byte {
	if r.err == nil && len(r.in) < n {
		r.err = errShort
	}
	if r.err != nil {
		return make([]byte, min(n, 8))
	}
	b := r.in[:n]
	r.in = r.in[n:]
	return b
}

func (r *reader) number() uint32 { return r.order.Uint32(r.bytes(4)) }

func (r *reader) oid() (o OID, include bool) {
	b := r.bytes(4)
	n, prefix := int(b[0]), b[1]
	if prefix != 0 {
		o = append(append(make(OID, 0, len(internet)+1+n), internet...), uint32(prefix))
	}
	if len(o)+n > MaxOID {
		r.fail("a name of %d numbers", len(o)+n)
	}
	for range n {
		if r.err != nil {
			return nil, false
		}
		o = append(o, r.number())
	}
	return o, b[2] != 0
}

func (r *reader) octets() string {
	n := r.number()
	if r.err != nil || uint64(n) > uint64(len(r.in)) {
		r.fail("%w", errShort)
		return ""
	}
	s := string(r.bytes(int(n)))
	r.bytes(int(-n & 3))
	return s
}

func (r *reader) variables() []Variable {
	var list []Variable
	for r.err == nil && len(r.in) > 0 {
		var v Variable
		v.Value.Type = ValueType(r.order.Uint16(r.bytes(4)))
		v.Name, _ = r.oid()
		switch v.Value.Type {
		case TypeInteger, TypeCounter32, TypeGauge32, TypeTimeTicks:
			v.Value.Number = uint64(r.number())
		case TypeCounter64:
			v.Value.Number = r.order.Uint64(r.bytes(8))
		case TypeOctetString, TypeIPAddress, TypeOpaque:
			v.Value.Bytes = r.octets()
			if v.Value.Type == TypeIPAddress && len(v.Value.Bytes) != 4 {
				r.fail("an address of %d bytes", len(v.Value.Bytes))
			}
		case TypeOID:
			v.Value.OID, _ = r.oid()
		case TypeNull, TypeNoSuchObject, TypeNoSuchInstance, TypeEndOfMIBView:
		default:
			r.fail("a value of type %d", v.Value.Type)
		}
		list = append(list, v)
	}
	return list
}
