package link

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"director/vrrp"
)

// ipv4Packet builds a packet with a header of the given number of 32-bit words.
func ipv4Packet(words int, payload []byte) []byte {
	b := make([]byte, words*4, words*4+len(payload))
	b[0] = 0x40 | byte(words)
	binary.BigEndian.PutUint16(b[2:], uint16(words*4+len(payload)))
	b[8], b[9] = 255, vrrp.ProtocolNumber
	copy(b[12:], []byte{10, 1, 0, 1})
	copy(b[16:], []byte{224, 0, 0, 18})
	for i := 20; i < len(b); i++ {
		b[i] = 1 // no-operation options
	}
	return append(b, payload...)
}

func TestParseIPv4(t *testing.T) {
	payload := advert(51)
	for name, c := range map[string]struct {
		packet []byte
		ok     bool
	}{
		"plain":                   {ipv4Packet(5, payload), true},
		"with options":            {ipv4Packet(6, payload), true},
		"longest header":          {ipv4Packet(15, payload), true},
		"with Ethernet padding":   {append(ipv4Packet(5, payload), make([]byte, 14)...), true},
		"empty":                   {nil, false},
		"header cut off":          {ipv4Packet(5, payload)[:19], false},
		"options cut off":         {ipv4Packet(15, payload)[:59], false},
		"payload cut off":         {ipv4Packet(5, payload)[:31], false},
		"IPv6":                    {append([]byte{0x60}, ipv4Packet(5, payload)[1:]...), false},
		"header below 20 bytes":   {append([]byte{0x44}, ipv4Packet(5, payload)[1:]...), false},
		"length below the header": {append([]byte{0x46, 0, 0, 20}, ipv4Packet(6, payload)[4:]...), false},
	} {
		d, ok := parseIPv4(c.packet)
		if ok != c.ok {
			t.Errorf("%s: %v", name, ok)
			continue
		}
		if ok && (d.Src != ip("10.1.0.1") || d.Dst != vrrp.Group4() || d.TTL != 255 || !bytes.Equal(d.Payload, payload)) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func FuzzParseIPv4(f *testing.F) {
	f.Add(ipv4Packet(5, advert(51)))
	f.Add(ipv4Packet(15, advert(51)))
	f.Add(append(ipv4Packet(6, advert(1)), 0, 0, 0))
	f.Add([]byte{0x45})
	for _, b := range captured(f, "ipv4") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := parseIPv4(b)
		if !ok {
			if d.Payload != nil || d.Src.IsValid() {
				t.Fatalf("refused, yet %+v", d)
			}
			return
		}
		header := len(b) - len(b[int(b[0]&15)*4:])
		if end := header + len(d.Payload); end > len(b) || end != int(b[2])<<8|int(b[3]) {
			t.Fatalf("payload ends at %d", end)
		}
		if len(d.Payload) > 0 && &d.Payload[0] != &b[header] || cap(d.Payload) != len(d.Payload) {
			t.Fatal("payload is not the part of the packet behind the header")
		}
		if !d.Src.Is4() || !d.Dst.Is4() || d.TTL != int(b[8]) {
			t.Fatalf("%+v", d)
		}
	})
}

func FuzzParseControl(f *testing.F) {
	f.Add(stampMessage(1700000000, 123))
	f.Add(append(controlMessage(unix.SOL_IP, unix.IP_TTL, []byte{255, 0, 0, 0}), stampMessage(1, 2)...))
	f.Add([]byte{16, 0, 0, 0})
	for _, b := range captured(f, "control") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { parseControl(b) })
}

func controlMessage(level, kind int, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	binary.NativeEndian.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	binary.NativeEndian.PutUint32(b[8:], uint32(level))
	binary.NativeEndian.PutUint32(b[12:], uint32(kind))
	copy(b[16:], data)
	return b
}

func stampMessage(sec, nsec uint64) []byte {
	var data [16]byte
	binary.NativeEndian.PutUint64(data[:], sec)
	binary.NativeEndian.PutUint64(data[8:], nsec)
	return controlMessage(unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, data[:])
}

func TestParseControl(t *testing.T) {
	other := controlMessage(unix.SOL_IP, unix.IP_TTL, []byte{255, 0, 0, 0})
	lost := controlMessage(unix.SOL_SOCKET, unix.SO_RXQ_OVFL, binary.NativeEndian.AppendUint32(nil, 9))
	for name, c := range map[string]struct {
		control []byte
		want    control
	}{
		"stamp":              {stampMessage(3, 7), control{stamp: 3_000_000_007, stamped: true}},
		"behind another":     {append(other, stampMessage(3, 7)...), control{stamp: 3_000_000_007, stamped: true}},
		"stamp and overflow": {append(stampMessage(3, 7), lost...), control{stamp: 3_000_000_007, stamped: true, lost: 9}},
		"destination and hop limit": {
			append(controlMessage(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(ip("ff02::12").AsSlice(), 7, 0, 0, 0)),
				controlMessage(unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, binary.NativeEndian.AppendUint32(nil, 254))...),
			control{dst: ip("ff02::12"), hops: 254}},
		"half a destination": {controlMessage(unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, ip("ff02::12").AsSlice()), control{}},
		"overflow":           {lost, control{lost: 9}},
		"none":               {nil, control{}},
		"only another":       {other, control{}},
		"cut off":            {stampMessage(3, 7)[:24], control{}},
		"no length":          {make([]byte, 32), control{}},
	} {
		if got := parseControl(c.control); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// The wall clock may be set between the arrival of a packet and its reading.
func TestArrivalStaysBetweenReadings(t *testing.T) {
	now := time.Now()
	s := &Socket{drained: now.Add(-time.Second)}
	for name, c := range map[string]struct {
		stamp time.Duration // against now
		want  time.Duration
	}{
		"as it is":            {-3 * time.Millisecond, -3 * time.Millisecond},
		"clock was set back":  {time.Hour, 0},
		"clock was set ahead": {-time.Hour, -time.Second},
	} {
		at := now.Add(c.stamp)
		got := s.arrival(control{stamp: at.UnixNano(), stamped: true}, now)
		if got.Sub(now) != c.want {
			t.Errorf("%s: arrival %v against now, want %v", name, got.Sub(now), c.want)
		}
	}
	if got := s.arrival(control{}, now); got != now {
		t.Errorf("without a stamp: %v", got.Sub(now))
	}
}

// The filter decides for each VRID and header length as the set says.
func TestVRIDFilter(t *testing.T) {
	all := make([]uint8, 256)
	for i := range all {
		all[i] = uint8(i)
	}
	for name, set := range map[string][]uint8{
		"none": nil, "one": {51}, "lowest and highest": {1, 255}, "word borders": {31, 32, 63, 64, 95, 96, 224},
		"every other": everyOther(all), "all": all,
	} {
		for _, keep := range []bool{true, false} {
			raw, err := vridFilter(wire{family: vrrp.IPv4}, set, keep)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) > 64 {
				t.Errorf("%s: %d instructions", name, len(raw))
			}
			program, ok := bpf.Disassemble(raw)
			if !ok {
				t.Fatalf("%s: cannot be disassembled", name)
			}
			vm, err := bpf.NewVM(program)
			if err != nil {
				t.Fatal(err)
			}
			ours := make(map[uint8]bool)
			for _, v := range set {
				ours[v] = true
			}
			for _, v := range all {
				for _, words := range []int{5, 6, 15} {
					packet := ipv4Packet(words, advert(v))
					n, err := vm.Run(packet)
					if err != nil {
						t.Fatal(err)
					}
					if want := ours[v] == keep; want != (n >= len(packet)) || !want && n != 0 {
						t.Fatalf("%s, %v: VRID %d, header of %d words: keeps %d bytes", name, keep, v, words, n)
					}
				}
			}
			if n, _ := vm.Run(ipv4Packet(5, []byte{0x31})); n != 0 {
				t.Errorf("%s: a packet without VRID is kept", name)
			}
		}
	}
}

func everyOther(all []uint8) (out []uint8) {
	for i := 0; i < len(all); i += 2 {
		out = append(out, all[i])
	}
	return out
}

func TestGARPFrame(t *testing.T) {
	got := garp(mac("02:00:00:00:00:01"), netip.MustParseAddr("192.0.2.10"))
	want := make([]byte, 60)
	copy(want, "\xff\xff\xff\xff\xff\xff"+ // to everybody
		"\x02\x00\x00\x00\x00\x01"+"\x08\x06"+ // from us, ARP
		"\x00\x01\x08\x00\x06\x04"+"\x00\x01"+ // Ethernet, IPv4, lengths, request
		"\x02\x00\x00\x00\x00\x01"+"\xc0\x00\x02\x0a"+ // sender
		"\xff\xff\xff\xff\xff\xff"+"\xc0\x00\x02\x0a") // target
	if !bytes.Equal(got[:], want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}
