package kernel

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"director/ipvs"
	"director/ipvs/ipvstest"
)

// body is a message as a dump brings it: what was encoded for the kernel, read
// as if the kernel had sent it.
func body(t testing.TB, b []byte) message {
	t.Helper()
	m, rest, err := cutMessage(b)
	if err != nil || len(rest) != 0 {
		t.Fatalf("%d bytes left, %v", len(rest), err)
	}
	return m
}

// What is sent for an operation names every setting and reads back the same.
func TestEncodedIsDecoded(t *testing.T) {
	tables := ipvstest.Tables(ipvs.Schedulers())
	rapid.Check(t, func(rt *rapid.T) {
		for _, op := range ipvs.Diff(nil, tables.Draw(rt, "table"), nil) {
			if op.Kind == ipvs.AddService {
				k, s, _, err := decodeService(body(t, appendServiceOp(nil, 30, 5, 7, op)))
				if err != nil || k != op.Key || s != op.Service {
					rt.Fatalf("%v came back as %v %+v, %v", op, k, s, err)
				}
				continue
			}
			m := body(t, appendDestOp(nil, 30, 5, 7, op))
			if m.typ != 30 || m.flags != 5 || m.seq != 7 || m.body[0] != cmdNewDest {
				rt.Fatalf("%v: header %+v", op, m)
			}
			k, d, _, err := decodeDest(m, 0)
			if err != nil || k != op.DestKey || d != op.Dest {
				rt.Fatalf("%v came back as %v %+v, %v", op, k, d, err)
			}
		}
	})
}

// The bytes of one message, checked by hand against linux/netlink.h and linux/ip_vs.h.
func TestBytesOfADestination(t *testing.T) {
	op := ipvs.Op{
		Kind: ipvs.EditDest, Key: ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort("192.0.2.1:80")),
		DestKey: netip.MustParseAddrPort("10.0.0.1:8080"),
		Dest:    ipvs.Destination{Forwarding: ipvs.Tunnel, Weight: 70000, UpperThreshold: 9, LowerThreshold: 8, TunnelType: ipvs.GUE, TunnelPort: 6080, TunnelFlags: 1},
	}
	if native.Uint16([]byte{1, 0}) != 1 {
		return // the text below is of a little-endian machine
	}
	const want = "8c000000" + "1e00" + "0500" + "01020304" + "00000000" + // length, family, flags, seq, port
		"06010000" + // set destination, version 1
		"2400" + "0180" + // service, nested
		"06000100" + "02000000" + // AF_INET
		"06000200" + "06000000" + // TCP
		"08000300" + "c0000201" + // address
		"06000400" + "00500000" + // port
		"5400" + "0280" + // destination, nested
		"06000b00" + "02000000" + // AF_INET
		"08000100" + "0a000001" + // address
		"06000200" + "1f900000" + // port
		"08000300" + "02000000" + // tunnel
		"08000400" + "70110100" + // weight, 32 bits
		"08000500" + "09000000" +
		"08000600" + "08000000" +
		"05000d00" + "01000000" + // GUE
		"06000e00" + "17c00000" + // port, network order
		"06000f00" + "01000000"
	got := hex.EncodeToString(appendDestOp(nil, 30, 5, 0x04030201, op))
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestMasks(t *testing.T) {
	for _, c := range []struct {
		f    ipvs.Family
		m    netip.Addr
		want []byte // as on the wire
	}{
		{ipvs.IPv4, netip.Addr{}, []byte{255, 255, 255, 255}},
		{ipvs.IPv4, ipvs.Mask(ipvs.IPv4, 24), []byte{255, 255, 255, 0}},
		{ipvs.IPv4, ipvs.Mask(ipvs.IPv4, 0), []byte{0, 0, 0, 0}},
		{ipvs.IPv6, netip.Addr{}, native.AppendUint32(nil, 128)},
		{ipvs.IPv6, ipvs.Mask(ipvs.IPv6, 64), native.AppendUint32(nil, 64)},
	} {
		v := encodeMask(c.f, c.m)
		if got := native.AppendUint32(nil, v); !slices.Equal(got, c.want) {
			t.Errorf("%v %v: % x on the wire, want % x", c.f, c.m, got, c.want)
		}
		if back := decodeMask(c.f, v); c.m.IsValid() && back != c.m {
			t.Errorf("%v %v came back as %v", c.f, c.m, back)
		}
	}
}

// The 64-bit counters win over the 32-bit ones, which are all that old kernels
// have, whatever their order.
func TestCounters(t *testing.T) {
	nest := func(b []byte, typ uint16, fill func([]byte) []byte) []byte {
		b, start := appendNest(b, typ)
		b = fill(b)
		endNest(b, start)
		return b
	}
	u64 := func(b []byte, typ uint16, v uint64) []byte {
		return appendAttr(b, typ, native.AppendUint64(nil, v)...)
	}
	narrow := func(b []byte) []byte {
		return u64(appendU32(appendU32(b, statConns, 1), statOutBPS, 5), statInBytes, 1<<40)
	}
	wide := func(b []byte) []byte { return u64(u64(b, statConns, 1<<32+1), statInBytes, 1<<40) }

	for name, c := range map[string]struct {
		stats func([]byte) []byte
		want  ipvs.Counters
	}{
		"old kernel": {func(b []byte) []byte { return nest(b, dstStats, narrow) }, ipvs.Counters{Connections: 1, OutByteRate: 5, InBytes: 1 << 40}},
		"both":       {func(b []byte) []byte { return nest(nest(b, dstStats, narrow), dstStats64, wide) }, ipvs.Counters{Connections: 1<<32 + 1, InBytes: 1 << 40}},
		"other way":  {func(b []byte) []byte { return nest(nest(b, dstStats64, wide), dstStats, narrow) }, ipvs.Counters{Connections: 1<<32 + 1, InBytes: 1 << 40}},
	} {
		b := appendMessage(nil, 30, 0, 1, cmdNewDest)
		b = nest(b, attrDest, func(b []byte) []byte {
			b = appendAddr(b, dstAddress, netip.MustParseAddr("10.0.0.1"))
			b = appendU32(b, dstActive, 3)
			b = appendU32(b, dstInactive, 4)
			b = appendU32(b, dstPersistent, 5)
			return c.stats(b)
		})
		endMessage(b, 0)
		k, _, st, err := decodeDest(body(t, b), ipvs.IPv4) // no family, as before Linux 3.18
		want := ipvs.DestStats{Active: 3, Inactive: 4, Persistent: 5, Counters: c.want}
		if err != nil || st != want || k.Addr().String() != "10.0.0.1" {
			t.Errorf("%s: got %v %+v, %v", name, k, st, err)
		}
	}
}

func TestMalformed(t *testing.T) {
	ok := appendDestOp(nil, 30, 0, 1, ipvs.Op{Kind: ipvs.AddDest, Key: ipvs.MarkService(1, ipvs.IPv4), DestKey: netip.MustParseAddrPort("10.0.0.1:80")})
	for cut := range ok {
		b := slices.Clone(ok[:cut])
		if m, _, err := cutMessage(b); err == nil {
			t.Errorf("%d of %d bytes are a message: %+v", cut, len(ok), m)
		}
		if cut < nlHeaderLen {
			continue
		}
		native.PutUint32(b, uint32(cut)) // the header tells the truth, the attributes do not
		m := body(t, b)
		if _, _, _, err := decodeDest(m, ipvs.IPv4); !errors.Is(err, errMalformed) {
			t.Errorf("%d of %d bytes are a destination: %v", cut, len(ok), err)
		}
		if _, _, _, err := decodeService(m); err == nil && cut < nlHeaderLen+genlHeaderLen+20 {
			t.Errorf("%d of %d bytes are a service", cut, len(ok))
		}
	}
	for n := range byte(attrHeaderLen) { // attributes shorter than their own header
		for _, b := range [][]byte{{n, 0, 1, 0}, {4, 0, 7, 0, n, 0, 1, 0, 9, 9}, {n}} {
			a := attributes{rest: b}
			for a.next() {
			}
			if !errors.Is(a.err, errMalformed) {
				t.Errorf("% x are attributes", b)
			}
		}
	}
	if _, err := (message{typ: unix.NLMSG_ERROR, body: []byte{1}}).errno(); !errors.Is(err, errMalformed) {
		t.Errorf("one byte is an error: %v", err)
	}
}

// FuzzDecode feeds whole datagrams, as from the kernel's socket.
func FuzzDecode(f *testing.F) {
	web := ipvs.AddrService(ipvs.TCP, netip.MustParseAddrPort("192.0.2.1:80"))
	f.Add(appendDestOp(nil, 30, 2, 1, ipvs.Op{Kind: ipvs.AddDest, Key: web, DestKey: netip.MustParseAddrPort("[2001:db8::1]:80"), Dest: ipvs.Destination{Weight: 5}}))
	f.Add(appendServiceOp(nil, 30, 2, 1, ipvs.Op{Kind: ipvs.AddService, Key: web, Service: ipvs.Service{Scheduler: "wlc", PersistenceTimeout: 9}}))
	f.Add(appendServiceOp(nil, 30, 2, 1, ipvs.Op{Kind: ipvs.AddService, Key: ipvs.MarkService(9, ipvs.IPv6), Service: ipvs.Service{Scheduler: "wlc"}}))
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xea, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			m, rest, err := cutMessage(b)
			if err != nil {
				return
			}
			if len(rest) >= len(b) {
				t.Fatal("nothing was taken off")
			}
			b = rest
			m.errno()
			if k, s, _, err := decodeService(m); err == nil {
				op := ipvs.Op{Kind: ipvs.AddService, Key: k, Service: s}
				if op.Valid() != nil {
					continue // what the kernel would not send: a timeout of years
				}
				k2, s2, _, err := decodeService(body(t, appendServiceOp(nil, 30, 0, 1, op)))
				if err != nil || k2 != k || s2 != s {
					t.Fatalf("%v %+v came back as %v %+v, %v", k, s, k2, s2, err)
				}
			}
			if k, d, _, err := decodeDest(m, ipvs.IPv4); err == nil {
				op := ipvs.Op{Kind: ipvs.AddDest, Key: web, DestKey: k, Dest: d}
				k2, d2, _, err := decodeDest(body(t, appendDestOp(nil, 30, 0, 1, op)), 0)
				if err != nil || k2 != k || d2 != d {
					t.Fatalf("%v %+v came back as %v %+v, %v", k, d, k2, d2, err)
				}
			}
		}
	})
}

func TestUDPSocketLine(t *testing.T) {
	const four = " 1234: 510000E0:2290 00000000:0000 07 00000000:00000A00 00:00000000 00000000     0        0 12345 2 0000000000000000 77"
	group := netip.MustParseAddr("224.0.0.81")
	if queued, dropped, ok := udpSocket([]byte(four), group, 8848); !ok || queued != 0xa00 || dropped != 77 {
		t.Errorf("%d queued, %d dropped, %v", queued, dropped, ok)
	}
	if _, _, ok := udpSocket([]byte(four), group, 8849); ok {
		t.Error("another port is taken")
	}
	if _, _, ok := udpSocket([]byte(four), netip.MustParseAddr("224.0.0.82"), 8848); ok {
		t.Error("another group is taken")
	}
	if _, _, ok := udpSocket([]byte("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when"), group, 8848); ok {
		t.Error("the heading is taken")
	}
}

// FuzzDecodeDaemon: no message makes the decoder fail otherwise than by an error.
func FuzzDecodeDaemon(f *testing.F) {
	d := ipvs.SyncDaemon{Role: ipvs.SyncMaster, Interface: "eth0", ID: 7, MaxLen: 1200}
	six := d
	six.Group = netip.MustParseAddr("ff02::81")
	for _, d := range []ipvs.SyncDaemon{d, six} {
		f.Add(appendDaemon([]byte{0, 0, 0, 0}, ipvs.SyncOp{Start: true, Daemon: d}))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeDaemon(message{body: body})
		if err == nil && !got.Group.IsValid() {
			t.Errorf("%+v", got)
		}
	})
}

func TestDaemonRoundTrip(t *testing.T) {
	for _, d := range []ipvs.SyncDaemon{
		{Role: ipvs.SyncMaster, Interface: "eth0", ID: 255, Port: 1, TTL: 255, MaxLen: 65000},
		{Role: ipvs.SyncBackup, Interface: "bond0.1234", Group: netip.MustParseAddr("239.1.2.3")},
		{Role: ipvs.SyncBackup, Interface: "lo", Group: netip.MustParseAddr("ff02::81"), Port: 8849},
	} {
		got, err := decodeDaemon(message{body: appendDaemon([]byte{0, 0, 0, 0}, ipvs.SyncOp{Start: true, Daemon: d})})
		if err != nil || got != d.Canonical() {
			t.Errorf("got %+v, %v, want %+v", got, err, d.Canonical())
		}
	}
}
