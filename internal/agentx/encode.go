package agentx

import (
	"encoding/binary"
	"fmt"
)

// HeaderLen is the length of every PDU's header in bytes.
const HeaderLen = 20

// Encode returns a PDU as it goes over the wire. Numbers are in the order that its
// flags tell. It refuses a type, a name or a value that cannot be written.
func (p *PDU) Encode() ([]byte, error) {
	w := &writer{order: p.Flags.order(), out: make([]byte, HeaderLen, 256)}
	p.payload(w)
	if w.err == nil && len(w.out)-HeaderLen > MaxPayload {
		w.fail("a payload of %d bytes", len(w.out)-HeaderLen)
	}
	if w.err != nil {
		return nil, fmt.Errorf("agentx: encode %v: %w", p.Type, w.err)
	}
	h := w.out[:HeaderLen]
	h[0], h[1], h[2] = version, byte(p.Type), byte(p.contextFlags())
	for i, n := range []uint32{p.Session, p.Transaction, p.Packet, uint32(len(w.out) - HeaderLen)} {
		w.order.PutUint32(h[4+4*i:], n)
	}
	return w.out, nil
}

// byteOrder is one of the two orders of bytes.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

func (f Flags) order() byteOrder {
	if f&NetworkByteOrder != 0 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// contextFlags are the flags with the one that tells of a context.
func (p *PDU) contextFlags() Flags {
	if p.Context != "" {
		return p.Flags | NonDefaultContext
	}
	return p.Flags
}

func (p *PDU) payload(w *writer) {
	if p.contextFlags()&NonDefaultContext != 0 {
		w.octets(p.Context)
	}
	switch p.Type {
	case Open:
		w.bytes(p.Timeout, 0, 0, 0)
		w.oid(p.Name, false)
		w.octets(p.Description)
	case Close:
		w.bytes(byte(p.Reason), 0, 0, 0)
	case Register, Unregister:
		w.bytes(p.Timeout, p.Priority, p.RangeSubID, 0)
		w.oid(p.Name, false)
		if p.RangeSubID != 0 {
			w.number(p.UpperBound)
		}
	case GetBulk, Get, GetNext:
		if p.Type == GetBulk {
			w.out = w.order.AppendUint16(w.out, p.NonRepeaters)
			w.out = w.order.AppendUint16(w.out, p.MaxRepetitions)
		}
		for _, r := range p.Ranges {
			w.oid(r.Start, r.Include)
			w.oid(r.End, false)
		}
	case TestSet, Notify, IndexAllocate, IndexDeallocate:
		w.variables(p.Variables)
	case CommitSet, UndoSet, CleanupSet, Ping:
	case AddAgentCaps:
		w.oid(p.Name, false)
		w.octets(p.Description)
	case RemoveAgentCaps:
		w.oid(p.Name, false)
	case Response:
		w.number(p.UpTime)
		w.out = w.order.AppendUint16(w.out, uint16(p.Error))
		w.out = w.order.AppendUint16(w.out, p.Index)
		w.variables(p.Variables)
	default:
		w.fail("no such type")
	}
}

// writer appends; the first failure stays.
type writer struct {
	order byteOrder
	out   []byte
	err   error
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *writer) bytes(b ...byte) { w.out = append(w.out, b...) }

func (w *writer) number(n uint32) { w.out = w.order.AppendUint32(w.out, n) }

// internet is what names nearly always begin with, and are written without.
var internet = OID{1, 3, 6, 1}

// oid writes a name as in RFC 2741 section 5.1.
func (w *writer) oid(o OID, include bool) {
	if len(o) > MaxOID {
		w.fail("a name of %d numbers", len(o))
		return
	}
	var prefix, more byte
	if len(o) > len(internet) && o.Under(internet) && o[len(internet)] > 0 && o[len(internet)] < 256 {
		prefix = byte(o[len(internet)])
		o = o[len(internet)+1:]
	}
	if include {
		more = 1
	}
	w.bytes(byte(len(o)), prefix, more, 0)
	for _, n := range o {
		w.number(n)
	}
}

// octets writes an Octet String as in RFC 2741 section 5.3.
func (w *writer) octets(s string) {
	w.number(uint32(len(s)))
	w.out = append(w.out, s...)
	for range -len(s) & 3 {
		w.out = append(w.out, 0)
	}
}

func (w *writer) variables(list []Variable) {
	for _, v := range list {
		w.out = w.order.AppendUint16(w.out, uint16(v.Value.Type))
		w.bytes(0, 0)
		w.oid(v.Name, false)
		switch v.Value.Type {
		case TypeInteger, TypeCounter32, TypeGauge32, TypeTimeTicks:
			w.number(uint32(v.Value.Number))
		case TypeCounter64:
			w.out = w.order.AppendUint64(w.out, v.Value.Number)
		case TypeOctetString, TypeIPAddress, TypeOpaque:
			if v.Value.Type == TypeIPAddress && len(v.Value.Bytes) != 4 {
				w.fail("%v: an address of %d bytes", v.Name, len(v.Value.Bytes))
			}
			w.octets(v.Value.Bytes)
		case TypeOID:
			w.oid(v.Value.OID, false)
		case TypeNull, TypeNoSuchObject, TypeNoSuchInstance, TypeEndOfMIBView:
		default:
			w.fail("%v: a value of type %d", v.Name, v.Value.Type)
		}
	}
}
