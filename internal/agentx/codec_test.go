package agentx

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func oid(s string) OID {
	o, err := ParseOID(s)
	if err != nil {
		panic(err)
	}
	return o
}

const keepalived = "1.3.6.1.4.1.9586.100.5"

// captured are PDUs as net-snmp's snmpd and a subagent of its library exchanged them.
var captured = []struct {
	name, hex string
	want      PDU
}{
	{"open",
		"010100000000000000000000645daa0d3c000000010000000504000001000000881f000003000000020000000a000000190000004e65742d534e4d50204167656e7458207375622d6167656e74000000",
		PDU{Header: Header{Type: Open, Packet: 0x0daa5d64}, Timeout: 1, Name: oid("1.3.6.1.4.1.8072.3.2.10"), Description: "Net-SNMP AgentX sub-agent"}},
	{"answer to open",
		"011200000700000000000000645daa0d44000000255d000000000000040000000504000001000000881f000003000000020000000a000000190000004e65742d534e4d50204167656e7458207375622d6167656e74000000",
		PDU{Header: Header{Type: Response, Session: 7, Packet: 0x0daa5d64}, UpTime: 0x5d25, Variables: []Variable{
			{oid("1.3.6.1.4.1.8072.3.2.10"), Text("Net-SNMP AgentX sub-agent")}}}},
	{"register",
		"010308000700000000000000655daa0d2400000000000000ff7f000006040000010000007225000064000000050000000100000001000000",
		PDU{Header: Header{Type: Register, Flags: NonDefaultContext, Session: 7, Packet: 0x0daa5d65}, Timeout: 255, Priority: 127, Name: oid(keepalived + ".1.1")}},
	{"capabilities",
		"011000000700000000000000795daa0d3c0000000504000001000000722500006400000005000000010000001d000000546865204d4942206d6f64756c6520666f72204b656570616c69766564000000",
		PDU{Header: Header{Type: AddAgentCaps, Session: 7, Packet: 0x0daa5d79}, Name: oid(keepalived + ".1"), Description: "The MIB module for Keepalived"}},
	{"get",
		"0105080007000000cf030000d00300002800000000000000070400000100000072250000640000000500000001000000020000000000000000000000",
		PDU{Header: Header{Type: Get, Flags: NonDefaultContext, Session: 7, Transaction: 0x3cf, Packet: 0x3d0}, Ranges: []Range{{Start: oid(keepalived + ".1.2.0")}}}},
	{"get next",
		"0106080007000000d1030000d3030000440000000000000007040100010000007225000064000000050000000100000003000000010000000704000001000000722500006400000005000000010000000300000002000000",
		PDU{Header: Header{Type: GetNext, Flags: NonDefaultContext, Session: 7, Transaction: 0x3d1, Packet: 0x3d3}, Ranges: []Range{
			{Start: oid(keepalived + ".1.3.1"), Include: true, End: oid(keepalived + ".1.3.2")}}}},
	{"test of a set",
		"0108080007000000dc030000dd0300003400000000000000420000000904000001000000722500006400000005000000020000000300000001000000030000000100000063000000",
		PDU{Header: Header{Type: TestSet, Flags: NonDefaultContext, Session: 7, Transaction: 0x3dc, Packet: 0x3dd}, Variables: []Variable{
			{oid(keepalived + ".2.3.1.3.1"), Gauge(99)}}}},
	{"its refusal",
		"0112080007000000dc030000dd0300003c000000000000000000000011000100420000000904000001000000722500006400000005000000020000000300000001000000030000000100000063000000",
		PDU{Header: Header{Type: Response, Flags: NonDefaultContext, Session: 7, Transaction: 0x3dc, Packet: 0x3dd}, Error: NotWritable, Index: 1, Variables: []Variable{
			{oid(keepalived + ".2.3.1.3.1"), Gauge(99)}}}},
	{"cleanup", "010b000007000000d8030000db03000000000000", PDU{Header: Header{Type: CleanupSet, Session: 7, Transaction: 0x3d8, Packet: 0x3db}}},
	{"notify",
		"010c000007000000000000009f5eaa0d80000000430000000402000001000000010000000300000000000000995e0000060000000606000003000000010000000100000004000000010000000000000004020100010000004400000000000000010000004000000008020000010000004400000001000000030000000100000007000000030000003500000004000000c0000201",
		PDU{Header: Header{Type: Notify, Session: 7, Packet: 0x0daa5e9f}, Variables: []Variable{
			{oid("1.3.6.1.2.1.1.3.0"), TimeTicks(0x5e99)}, {oid("1.3.6.1.6.3.1.1.4.1.0"), ObjectID(oid("1.3.6.1.2.1.68.0.1"))},
			{oid("1.3.6.1.2.1.68.1.3.1.7.3.53"), IPAddress([4]byte{192, 0, 2, 1})}}}},
	// Of no capture: what net-snmp does not use.
	{"bulk, in network byte order",
		"0107100000000007000000010000000200000014" + "00010005" + "020201000000000100000001" + "00000000",
		PDU{Header: Header{Type: GetBulk, Flags: NetworkByteOrder, Session: 7, Transaction: 1, Packet: 2}, NonRepeaters: 1, MaxRepetitions: 5,
			Ranges: []Range{{Start: oid("1.3.6.1.2.1.1"), Include: true}}}},
	{"register a range in a context",
		"010318000000000700000000000000020000001c" + "00000003" + "63747800" + "057f0700" + "020400000000000700000001" + "00000009",
		PDU{Header: Header{Type: Register, Flags: NetworkByteOrder | NonDefaultContext, Session: 7, Packet: 2}, Context: "ctx", Timeout: 5, Priority: 127,
			RangeSubID: 7, UpperBound: 9, Name: oid("1.3.6.1.4.7.1")}},
}

func TestCaptured(t *testing.T) {
	for _, tc := range captured {
		t.Run(tc.name, func(t *testing.T) {
			wire, err := hex.DecodeString(tc.hex)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decode(wire)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tc.want, got); diff != "" {
				t.Errorf("decoded (-want +got):\n%s", diff)
			}
			again, err := got.Encode()
			if err != nil {
				t.Fatal(err)
			}
			// net-snmp's trap has the include bit where it means nothing.
			if !bytes.Equal(again, wire) && tc.want.Type != Notify {
				t.Errorf("encoded\n%x, want\n%x", again, wire)
			}
		})
	}
}

// decode reads one whole PDU.
func decode(wire []byte) (*PDU, error) {
	h, n, err := ParseHeader(wire)
	if err != nil {
		return nil, err
	}
	if n != len(wire)-HeaderLen {
		return nil, errShort
	}
	return Decode(h, wire[HeaderLen:])
}

func TestDecodeRefuses(t *testing.T) {
	for _, tc := range []struct{ name, hex, want string }{
		{"nothing", "", "too early"},
		{"another version", "02050000070000000100000002000000" + "00000000", "not version 1"},
		{"a payload that is not whole words", "01050000070000000100000002000000" + "03000000", "multiple of 4"},
		{"a payload without end", "01050000070000000100000002000000" + "000000ff", "too great"},
		{"an unknown type", "01630000070000000100000002000000" + "00000000", "no such type"},
		{"a range without an end", "01050000070000000100000002000000" + "04000000" + "00000000", "too early"},
		{"a name that goes on after the end", "01050000070000000100000002000000" + "08000000" + "09000000" + "01000000", "too early"},
		{"a name of 129 numbers", "01050000070000000100000002000000" + "04000000" + "80020000", "name of 133 numbers"},
		{"an octet string that goes on after the end", "01080000070000000100000002000000" + "10000000" + "04000000" + "00000000" + "ffffffff" + "41414141", "too early"},
		{"a value of no type", "01080000070000000100000002000000" + "08000000" + "09000000" + "00000000", "value of type 9"},
		{"a short address", "01080000070000000100000002000000" + "10000000" + "40000000" + "00000000" + "03000000" + "01020300", "address of 3 bytes"},
		{"bytes after the end", "010b0000070000000100000002000000" + "04000000" + "00000000", "too many"},
	} {
		wire, err := hex.DecodeString(tc.hex)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(wire); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.want)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, tc := range []struct {
		pdu  PDU
		want string
	}{
		{PDU{Header: Header{Type: 99}}, "no such type"},
		{PDU{Header: Header{Type: Open}, Name: make(OID, 129)}, "129 numbers"},
		{PDU{Header: Header{Type: Response}, Variables: []Variable{{Name: OID{1}}}}, "value of type 0"},
		{PDU{Header: Header{Type: Response}, Variables: []Variable{{OID{1}, Value{Type: TypeIPAddress, Bytes: "x"}}}}, "1 bytes"},
		{PDU{Header: Header{Type: Open}, Description: strings.Repeat("x", MaxPayload)}, "payload"},
	} {
		if _, err := tc.pdu.Encode(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v, want %q", tc.pdu.Type, err, tc.want)
		}
	}
}

// FuzzDecode: no bytes crash the decoder, and what it understands is written as it
// was, but for what has no meaning.
func FuzzDecode(f *testing.F) {
	for _, tc := range captured {
		wire, err := hex.DecodeString(tc.hex)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		p, err := decode(wire)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", p, err)
		}
		q, err := decode(again)
		if err != nil {
			t.Fatalf("%+v is written as %x: %v", p, again, err)
		}
		if diff := cmp.Diff(p, q, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-read +read again):\n%s", diff)
		}
		(&View{}).Answer(p) // must not crash
	})
}

func TestEveryNumberHasAName(t *testing.T) {
	for n := Open; n <= Response; n++ {
		if s := n.String(); strings.Contains(s, " ") {
			t.Errorf("PDU type %d is called %q", n, s)
		}
	}
	for n := CloseOther; n <= CloseByManager; n++ {
		if s := n.String(); strings.HasPrefix(s, "reason ") {
			t.Errorf("reason %d is called %q", n, s)
		}
	}
	if Type(0).String() != "PDU type 0" || Error(999).Error() != "error 999" || CloseReason(99).String() != "reason 99" {
		t.Error("unknown numbers are not told as such")
	}
}
