package agentx

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxOID is how many numbers a name has at most (RFC 2578 section 3.5).
const MaxOID = 128

// OID is an object identifier: the name of an object, of an object type or of a part
// of the tree. It is never changed in place.
type OID []uint32

// ParseOID reads numbers with dots between, with or without one in front.
func ParseOID(s string) (OID, error) {
	parts := strings.Split(strings.TrimPrefix(s, "."), ".")
	if len(parts) > MaxOID {
		return nil, fmt.Errorf("agentx: %q has more than %d numbers", s, MaxOID)
	}
	o := make(OID, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("agentx: %q is no object identifier", s)
		}
		o[i] = uint32(n)
	}
	return o, nil
}

// String has numbers with dots between.
func (o OID) String() string {
	var b strings.Builder
	for i, n := range o {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.FormatUint(uint64(n), 10))
	}
	return b.String()
}

// Compare is negative where o comes before p in the tree's order, 0 where they are
// the same; a name comes before all below it.
func (o OID) Compare(p OID) int { return slices.Compare(o, p) }

// Under says that o is p or below it.
func (o OID) Under(p OID) bool { return len(o) >= len(p) && slices.Equal(o[:len(p)], p) }

// Append returns a name below o.
func (o OID) Append(numbers ...uint32) OID { return slices.Concat(o, numbers) }
