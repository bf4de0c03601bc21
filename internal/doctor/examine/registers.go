package examine

import (
	"bytes"

	"github.com/google/nftables/expr"
)

// registers are those of nftables: 64 bytes, named in pieces of 16 (1 to 4) and of 4
// (8 to 23), and which of the bytes are known.
type registers struct {
	data  [64]byte
	known [64]bool
}

// at returns the place of a register, false: there is none.
func at(register uint32) (int, bool) {
	switch {
	case register >= 1 && register <= 4:
		return int(register-1) * 16, true
	case register >= 8 && register <= 23:
		return int(register-8) * 4, true
	}
	return 0, false
}

// put loads a value; nil: room bytes are not known any more. Short values are filled
// up with zeros to a multiple of four bytes, as the kernel does.
func (r *registers) put(register uint32, room int, value []byte) {
	start, ok := at(register)
	if !ok {
		return
	}
	end := min(start+room, len(r.data))
	if value != nil {
		end = min(start+(len(value)+3)/4*4, len(r.data))
	}
	for i := start; i < end; i++ {
		r.data[i], r.known[i] = 0, value != nil
	}
	if value != nil {
		copy(r.data[start:end], value)
	}
}

// load loads bytes of which some are known.
func (r *registers) load(register uint32, value []byte, known []bool) {
	start, ok := at(register)
	if !ok {
		return
	}
	for i := start; i < min(start+(len(value)+3)/4*4, len(r.data)); i++ {
		r.data[i], r.known[i] = 0, true
		if i-start < len(value) {
			r.data[i], r.known[i] = value[i-start], known[i-start]
		}
	}
}

// get returns length bytes, and whether all of them are known.
func (r *registers) get(register uint32, length int) ([]byte, bool) {
	start, ok := at(register)
	if !ok || start+length > len(r.data) {
		return make([]byte, length), false
	}
	for _, k := range r.known[start : start+length] {
		ok = ok && k
	}
	return r.data[start : start+length], ok
}

// bitwise does (source & mask) ^ xor. A bit that is masked out is known.
func (r *registers) bitwise(e *expr.Bitwise) {
	from, ok := at(e.SourceRegister)
	to, ok2 := at(e.DestRegister)
	n := int(e.Len)
	if !ok || !ok2 || from+n > len(r.data) || to+n > len(r.data) || len(e.Mask) < n || len(e.Xor) < n {
		r.put(e.DestRegister, n, nil)
		return
	}
	for i := range n {
		r.data[to+i] = r.data[from+i]&e.Mask[i] ^ e.Xor[i]
		r.known[to+i] = r.known[from+i] || e.Mask[i] == 0
	}
}

// compare is a comparison with a constant.
func (r *registers) compare(e *expr.Cmp) match {
	value, known := r.get(e.Register, len(e.Data))
	if !known {
		return maybe
	}
	order := bytes.Compare(value, e.Data)
	return truth(map[expr.CmpOp]bool{
		expr.CmpOpEq: order == 0, expr.CmpOpNeq: order != 0, expr.CmpOpLt: order < 0,
		expr.CmpOpLte: order <= 0, expr.CmpOpGt: order > 0, expr.CmpOpGte: order >= 0,
	}[e.Op])
}

// within is a comparison with a range.
func (r *registers) within(e *expr.Range) match {
	value, known := r.get(e.Register, len(e.FromData))
	if !known {
		return maybe
	}
	in := bytes.Compare(value, e.FromData) >= 0 && bytes.Compare(value, e.ToData) <= 0
	return truth(in == (e.Op == expr.CmpOpEq))
}

func truth(b bool) match {
	if b {
		return yes
	}
	return no
}
