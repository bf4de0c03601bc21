package examine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// rule is the expressions of a rule, which the kernel runs from left to right over a
// few registers until one does not match.
type rule []expr.Any

// match says whether an expression or a rule matches. Some depends on what is not
// known: then both ways are gone.
type match uint8

const (
	no match = iota
	maybe
	yes
)

// outcome is the ways in which a chain can end.
type outcome struct {
	accepts, drops, falls bool   // falls: off the end of the chain
	where                 string // the first that drops
}

func (o *outcome) drop(where string) {
	if !o.drops {
		o.drops, o.where = true, where
	}
}

// walk is one packet on its way through one base chain.
type walk struct {
	*ruleset
	packet
	at        *chain
	registers registers
}

// deepest bounds the depth of jumps, as the kernel does.
const deepest = 16

func (w *walk) chain(c *chain, depth int) (end outcome, err error) {
	if depth > deepest {
		return outcome{accepts: true, falls: true}, nil
	}
	before := w.at
	defer func() { w.at = before }()
	for n, r := range c.rules {
		w.at = c
		m, verdicts, err := w.rule(r)
		if err != nil {
			return end, err
		}
		if m == no {
			continue
		}
		goesOn := m == maybe || len(verdicts) == 0
		for _, v := range verdicts {
			where := fmt.Sprintf("rule %d of chain %s", n+1, c)
			on, err := w.verdict(&end, v, where, depth)
			if err != nil {
				return end, err
			}
			goesOn = goesOn || on
		}
		if !goesOn {
			return end, nil
		}
	}
	end.falls = true
	return end, nil
}

// verdict adds to the outcome what a verdict leads to, and says whether the next rule
// can be reached.
func (w *walk) verdict(end *outcome, v expr.Verdict, where string, depth int) (goesOn bool, err error) {
	switch v.Kind {
	case expr.VerdictAccept, expr.VerdictQueue, expr.VerdictStolen, expr.VerdictStop:
		end.accepts = true
	case expr.VerdictDrop:
		end.drop(where)
	case expr.VerdictReturn:
		end.falls = true
	case expr.VerdictJump, expr.VerdictGoto:
		target := w.find(v.Chain)
		if target == nil {
			return true, nil
		}
		inner, err := w.chain(target, depth+1)
		if err != nil {
			return false, err
		}
		end.accepts = end.accepts || inner.accepts
		if inner.drops {
			end.drop(inner.where)
		}
		if v.Kind == expr.VerdictJump {
			return inner.falls, nil
		}
		end.falls = end.falls || inner.falls
	default: // continue
		return true, nil
	}
	return false, nil
}

// find returns a chain of the same table.
func (w *walk) find(name string) *chain {
	for _, c := range w.chains {
		if c.name == name && c.table == w.at.table && c.family == w.at.family {
			return c
		}
	}
	return nil
}

// rule runs a rule and returns the verdicts that it can end with; none: the next rule
// follows. Several come from a map whose key is not known.
func (w *walk) rule(r rule) (m match, verdicts []expr.Verdict, err error) {
	w.registers = registers{}
	m = yes
	for _, e := range r {
		one := yes
		switch e := e.(type) {
		case *expr.Meta:
			if !e.SourceRegister {
				w.registers.put(e.Register, 16, w.meta(e.Key))
			}
		case *expr.Payload:
			if e.OperationType == expr.PayloadLoad {
				value, known := w.payload(e.Base, int(e.Offset), int(e.Len))
				w.registers.load(e.DestRegister, value, known)
			}
		case *expr.Ct:
			if !e.SourceRegister {
				w.registers.put(e.Register, 16, w.conntrack(e.Key))
			}
		case *expr.Immediate:
			w.registers.put(e.Register, len(e.Data), e.Data)
		case *expr.Bitwise:
			w.registers.bitwise(e)
		case *expr.Cmp:
			one = w.registers.compare(e)
		case *expr.Range:
			one = w.registers.within(e)
		case *expr.Lookup:
			var found []expr.Verdict
			if one, found, err = w.lookup(e); err != nil {
				return no, nil, err
			}
			verdicts = append(verdicts, found...)
		case *expr.Verdict:
			verdicts = append(verdicts, *e)
		case *expr.Reject:
			verdicts = append(verdicts, expr.Verdict{Kind: expr.VerdictDrop})
		case *expr.Match:
			one = extension(e)
		case *expr.Target:
			if e.Name == "REJECT" {
				verdicts = append(verdicts, expr.Verdict{Kind: expr.VerdictDrop})
			}
		case *expr.Counter, *expr.Log, *expr.Notrack, *expr.Objref, *expr.FlowOffload, *expr.Dup, *expr.Quota:
		case *expr.Limit:
			one = maybe
		case *expr.Queue:
			verdicts = append(verdicts, expr.Verdict{Kind: expr.VerdictQueue})
		default:
			// Whatever it loads is not known, and whether it matches is not either.
			w.registers = registers{}
			one = maybe
		}
		m = min(m, one)
		if m == no {
			return no, nil, nil
		}
	}
	return m, verdicts, nil
}

// extension runs a match of iptables-nft.
func extension(e *expr.Match) match {
	switch info := e.Info.(type) {
	case *xt.ConntrackMtinfo3:
		const state = 1 // XT_CONNTRACK_STATE
		if info.MatchFlags != state {
			return maybe
		}
		if (uint32(info.StateMask)&expr.CtStateBitNEW != 0) != (info.InvertFlags&state != 0) {
			return yes
		}
		return no
	}
	if e.Name == "comment" {
		return yes
	}
	return maybe
}

// meta returns what is known of the packet beside its headers, nil: nothing.
func (w *walk) meta(key expr.MetaKey) []byte {
	name := func(here bool) []byte {
		text := make([]byte, unix.IFNAMSIZ)
		if here && w.device == "" {
			return nil
		}
		if here {
			copy(text, w.device)
		}
		return text
	}
	index := func(here bool) []byte {
		if here && w.index == 0 {
			return nil
		}
		if !here {
			return make([]byte, 4)
		}
		return binary.NativeEndian.AppendUint32(nil, uint32(w.index))
	}
	switch key {
	case expr.MetaKeyNFPROTO:
		if w.ipv6 {
			return []byte{unix.NFPROTO_IPV6}
		}
		return []byte{unix.NFPROTO_IPV4}
	case expr.MetaKeyPROTOCOL:
		if w.ipv6 {
			return binary.BigEndian.AppendUint16(nil, unix.ETH_P_IPV6)
		}
		return binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP)
	case expr.MetaKeyL4PROTO:
		return []byte{w.protocol}
	case expr.MetaKeyIIFNAME:
		return name(w.in)
	case expr.MetaKeyOIFNAME:
		return name(!w.in)
	case expr.MetaKeyIIF:
		return index(w.in)
	case expr.MetaKeyOIF:
		return index(!w.in)
	case expr.MetaKeyPKTTYPE:
		if w.in && w.target.IsMulticast() {
			return []byte{unix.PACKET_MULTICAST}
		}
	}
	return nil
}

// conntrack returns what is known of the connection: adverts go in one direction and
// stay new.
func (w *walk) conntrack(key expr.CtKey) []byte {
	switch key {
	case expr.CtKeySTATE:
		return binary.NativeEndian.AppendUint32(nil, expr.CtStateBitNEW)
	case expr.CtKeyDIRECTION:
		return []byte{0}
	}
	return nil
}

// payload returns bytes of a header, with which of them are known.
func (w *walk) payload(base expr.PayloadBase, offset, length int) (b []byte, known []bool) {
	header, sure := make([]byte, 64), make([]bool, 64)
	put := func(at int, value ...byte) {
		copy(header[at:], value)
		for i := range value {
			sure[at+i] = true
		}
	}
	switch base {
	case expr.PayloadBaseNetworkHeader:
		protocol, ttl, source, target := 9, 8, 12, 16
		if w.ipv6 {
			protocol, ttl, source, target = 6, 7, 8, 24
		}
		put(protocol, w.protocol)
		put(ttl, 255)
		if w.source.IsValid() {
			put(source, w.source.AsSlice()...)
		}
		if w.target.IsValid() {
			put(target, w.target.AsSlice()...)
		}
	case expr.PayloadBaseTransportHeader:
		if w.protocol == unix.IPPROTO_UDP {
			put(2, byte(w.port>>8), byte(w.port))
		}
	}
	if offset < 0 || length < 0 || offset+length > len(header) {
		return make([]byte, max(0, min(length, 64))), make([]bool, max(0, min(length, 64)))
	}
	return header[offset : offset+length], sure[offset : offset+length]
}

// lookup searches a set or a map.
func (w *walk) lookup(e *expr.Lookup) (match, []expr.Verdict, error) {
	elements, err := w.sets(w.at.family, w.at.table, e.SetName)
	if err != nil {
		return no, nil, err
	}
	if len(elements) == 0 {
		if e.Invert {
			return yes, nil, nil
		}
		return no, nil, nil
	}
	toVerdict := e.IsDestRegSet && e.DestRegister == unix.NFT_REG_VERDICT
	key, known := w.registers.get(e.SourceRegister, len(elements[0].Key))
	found, sure := search(elements, key)
	if !known || !sure {
		var all []expr.Verdict
		for _, el := range elements {
			if toVerdict && !el.IntervalEnd {
				all = append(all, verdictOf(el.Val))
			}
		}
		return maybe, all, nil
	}
	if (found != nil) == e.Invert {
		return no, nil, nil
	}
	if found != nil && toVerdict {
		return yes, []expr.Verdict{verdictOf(found.Val)}, nil
	}
	if found != nil && e.IsDestRegSet {
		w.registers.put(e.DestRegister, len(found.Val), found.Val)
	}
	return yes, nil, nil
}

// verdictOf reads a verdict as the kernel has it in a map: an attribute with its code
// and, for a jump, one with the chain's name.
func verdictOf(b []byte) expr.Verdict {
	v := expr.Verdict{Kind: expr.VerdictContinue}
	if len(b) >= 8 {
		v.Kind = expr.VerdictKind(int32(binary.BigEndian.Uint32(b[4:])))
	}
	if len(b) > 12 {
		v.Chain = string(bytes.TrimRight(b[12:], "\x00"))
	}
	return v
}

// search finds the element that holds a key, nil: none does. Intervals are kept as
// their begins and ends. Where an element is of several fields with intervals, sure
// is false.
func search(elements []nftables.SetElement, key []byte) (found *nftables.SetElement, sure bool) {
	intervals := slices.ContainsFunc(elements, func(e nftables.SetElement) bool { return e.IntervalEnd })
	var last *nftables.SetElement
	for i := range elements {
		e := &elements[i]
		if len(e.KeyEnd) > 0 {
			return nil, false
		}
		order := bytes.Compare(e.Key, key)
		if !intervals && order == 0 {
			return e, true
		}
		// Of an end and a begin at one place the begin counts.
		if intervals && order <= 0 && (last == nil || bytes.Compare(e.Key, last.Key) > 0 || bytes.Equal(e.Key, last.Key) && last.IntervalEnd) {
			last = e
		}
	}
	if last == nil || last.IntervalEnd {
		return nil, true
	}
	return last, true
}
