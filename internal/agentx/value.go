package agentx

import "fmt"

// ValueType is what a variable's value is (RFC 2741 section 5.4, v.type).
type ValueType uint16

// The types. The zero value of ValueType is none of them: there is no value.
const (
	TypeInteger        ValueType = 2
	TypeOctetString    ValueType = 4
	TypeNull           ValueType = 5
	TypeOID            ValueType = 6
	TypeIPAddress      ValueType = 64
	TypeCounter32      ValueType = 65
	TypeGauge32        ValueType = 66 // and Unsigned32
	TypeTimeTicks      ValueType = 67 // hundredths of a second
	TypeOpaque         ValueType = 68
	TypeCounter64      ValueType = 70
	TypeNoSuchObject   ValueType = 128
	TypeNoSuchInstance ValueType = 129
	TypeEndOfMIBView   ValueType = 130
)

// Value is the value of an object. The zero Value says that there is none.
type Value struct {
	Type   ValueType
	Number uint64 // Integer (as an int32), Counter32, Gauge32, TimeTicks, Counter64
	Bytes  string // OctetString, IPAddress (4 bytes), Opaque
	OID    OID    // OID
}

// Integer is an INTEGER or an Integer32.
func Integer(n int) Value { return Value{Type: TypeInteger, Number: uint64(uint32(int32(n)))} }

// Text is an OCTET STRING: a text, an address, bytes.
func Text(s string) Value { return Value{Type: TypeOctetString, Bytes: s} }

// Gauge is a Gauge32 or an Unsigned32; more than fits is the greatest that does, as
// RFC 2578 section 7.1.7 has it.
func Gauge(n uint64) Value { return Value{Type: TypeGauge32, Number: min(n, 1<<32-1)} }

// Counter32 counts and begins anew at 2^32.
func Counter32(n uint64) Value { return Value{Type: TypeCounter32, Number: n & (1<<32 - 1)} }

// Counter64 counts.
func Counter64(n uint64) Value { return Value{Type: TypeCounter64, Number: n} }

// TimeTicks are hundredths of a second, which begin anew at 2^32.
func TimeTicks(n uint64) Value { return Value{Type: TypeTimeTicks, Number: n & (1<<32 - 1)} }

// IPAddress is an IPv4 address.
func IPAddress(a [4]byte) Value { return Value{Type: TypeIPAddress, Bytes: string(a[:])} }

// ObjectID is the name of something as a value.
func ObjectID(o OID) Value { return Value{Type: TypeOID, OID: o} }

// There says that there is a value.
func (v Value) There() bool { return v.Type != 0 }

// Int is the number of an Integer.
func (v Value) Int() int { return int(int32(v.Number)) }

// String shows a value to a person.
func (v Value) String() string {
	switch v.Type {
	case TypeInteger:
		return fmt.Sprint(v.Int())
	case TypeCounter32, TypeGauge32, TypeTimeTicks, TypeCounter64:
		return fmt.Sprint(v.Number)
	case TypeOctetString, TypeIPAddress, TypeOpaque:
		return fmt.Sprintf("%q", v.Bytes)
	case TypeOID:
		return v.OID.String()
	case TypeNull:
		return "null"
	case TypeNoSuchObject:
		return "noSuchObject"
	case TypeNoSuchInstance:
		return "noSuchInstance"
	case TypeEndOfMIBView:
		return "endOfMibView"
	}
	return "none"
}

// Variable is an object and its value (RFC 2741 section 5.4: VarBind).
type Variable struct {
	Name  OID
	Value Value
}
