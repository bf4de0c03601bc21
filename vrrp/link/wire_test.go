package link

import (
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"director/vrrp"
)

// version2 and version3 build whole adverts with their checksums: RFC 3768
// section 5.3, RFC 9568 section 5.2 with the pseudo-header of RFC 5798.
func version2(vrid uint8) []byte {
	b := append([]byte{0x21, vrid, 100, 1, 1, 1, 0, 0, 192, 0, 2, 1}, "secret\x00\x00"...)
	binary.BigEndian.PutUint16(b[6:], checksum(b))
	return b
}

func version3(vrid uint8, src netip.Addr) []byte {
	b := []byte{0x31, vrid, 100, 2, 0, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2}
	pseudo := append(src.AsSlice(), 224, 0, 0, 18, 0, vrrp.ProtocolNumber, 0, byte(len(b)))
	binary.BigEndian.PutUint16(b[6:], checksum(append(pseudo, b...)))
	return b
}

func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 > 0 {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// What leaves the host is what RFC 9568 section 5.1 demands, in the eyes of
// somebody else's decoder.
func TestAdvertsOnTheWire(t *testing.T) {
	p := newPair(t)
	next := p.b.capture("eth0")
	p.a.address("eth0", "10.1.0.77/32")
	src := ip("10.1.0.77")
	long := make([]byte, 8, 8+255*4)
	copy(long, []byte{0x31, 9, 100, 255, 0, 100})
	for i := range 255 {
		long = append(long, 192, 0, 2, byte(i))
	}
	p.sa.Queue(ip("10.1.0.1"), vrrp.Group4(), 255, version2(7))
	p.sa.Queue(src, vrrp.Group4(), 255, version3(8, src))
	p.sa.Queue(src, vrrp.Group4(), 255, long)
	if err := p.sa.Flush(); err != nil {
		t.Fatal(err)
	}

	var frames [][]byte
	for range 3 {
		frames = append(frames, next(func(f []byte) bool { return f[12] == 8 && f[13] == 0 && f[23] == vrrp.ProtocolNumber }))
	}
	path := filepath.Join(t.TempDir(), "adverts.pcap")
	if err := os.WriteFile(path, pcap(frames), 0o600); err != nil {
		t.Fatal(err)
	}
	fields := []string{
		"eth.src", "eth.dst", "ip.src", "ip.dst", "ip.ttl", "ip.dsfield", "ip.flags.df", "ip.hdr_len", "ip.len",
		"vrrp.version", "vrrp.virt_rtr_id", "vrrp.checksum.status", "_ws.malformed",
	}
	args := []string{"-r", path, "-T", "fields", "-E", "separator=|"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	out, err := exec.Command("tshark", args...).Output()
	if err != nil {
		t.Fatalf("tshark (Debian package tshark): %v", err)
	}
	own := p.a.iface("eth0").HardwareAddr.String() + "|01:00:5e:00:00:12|"
	want := []string{
		own + "10.1.0.1|224.0.0.18|255|0xc0|0|20|40|2|7|1|", // checksum status 1: good
		own + "10.1.0.77|224.0.0.18|255|0xc0|0|20|36|3|8|1|",
		own + "10.1.0.77|224.0.0.18|255|0xc0|0|20|1048|3|9|0|", // its checksum is 0 on purpose
	}
	got := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(got) != len(want) {
		t.Fatalf("tshark shows %d packets, want %d:\n%s", len(got), len(want), out)
	}
	for i := range want {
		// Newer versions print truth values as words.
		if line := strings.NewReplacer("False", "0", "True", "1").Replace(got[i]); line != want[i] {
			t.Errorf("packet %d (%s)\ngot  %s\nwant %s", i, strings.Join(fields, "|"), line, want[i])
		}
	}
}

// pcap is a capture file of Ethernet frames: classic, little endian.
func pcap(frames [][]byte) []byte {
	file := binary.LittleEndian.AppendUint32(nil, 0xa1b2c3d4)
	for _, v := range []uint32{2 | 4<<16, 0, 0, 65535, 1} {
		file = binary.LittleEndian.AppendUint32(file, v)
	}
	for _, frame := range frames {
		for _, v := range []int{0, 0, len(frame), len(frame)} {
			file = binary.LittleEndian.AppendUint32(file, uint32(v))
		}
		file = append(file, frame...)
	}
	return file
}
