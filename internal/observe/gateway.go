package observe

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// The flags of a route that matter, of linux/route.h and linux/ipv6_route.h.
const (
	routeUp      = 0x1
	routeGateway = 0x2
	routeReject  = 0x200
)

// Gateway returns the gateway of this host's default route: of IPv6 or IPv4, and
// through device alone unless that is empty. Of several the one with the least
// metric counts. A link-local gateway has its device as zone.
func Gateway(ipv6 bool, device string) (netip.Addr, error) {
	path, parse, family := "/proc/self/net/route", gateway4, "IPv4"
	if ipv6 {
		path, parse, family = "/proc/self/net/ipv6_route", gateway6, "IPv6"
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return netip.Addr{}, err
	}
	var found netip.Addr
	least := uint64(1 << 63)
	for line := range strings.Lines(string(data)) {
		addr, dev, metric, ok := parse(strings.Fields(line))
		if ok && metric < least && (device == "" || dev == device) {
			found, least = addr, metric
		}
	}
	if !found.IsValid() {
		what := ""
		if device != "" {
			what = " through " + device
		}
		return found, fmt.Errorf("there is no %s default route with a gateway%s", family, what)
	}
	return found, nil
}

// gateway4 reads a line of /proc/net/route: device, destination, gateway, flags,
// references, use, metric, mask, ...
func gateway4(f []string) (gw netip.Addr, dev string, metric uint64, ok bool) {
	if len(f) < 8 || f[1] != "00000000" || f[7] != "00000000" {
		return
	}
	flags, err1 := strconv.ParseUint(f[3], 16, 32)
	metric, err2 := strconv.ParseUint(f[6], 10, 32)
	raw, err3 := strconv.ParseUint(f[2], 16, 32)
	if err1 != nil || err2 != nil || err3 != nil || flags&(routeUp|routeGateway) != routeUp|routeGateway || flags&routeReject != 0 {
		return
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(raw))
	return netip.AddrFrom4(b), f[0], metric, true
}

// gateway6 reads a line of /proc/net/ipv6_route: destination, its length, source,
// its length, gateway, metric, references, use, flags, device.
func gateway6(f []string) (gw netip.Addr, dev string, metric uint64, ok bool) {
	if len(f) < 10 || f[1] != "00" || strings.Trim(f[0], "0") != "" {
		return
	}
	flags, err1 := strconv.ParseUint(f[8], 16, 32)
	metric, err2 := strconv.ParseUint(f[5], 16, 32)
	raw, err3 := hex.DecodeString(f[4])
	if err1 != nil || err2 != nil || err3 != nil || len(raw) != 16 ||
		flags&(routeUp|routeGateway) != routeUp|routeGateway || flags&routeReject != 0 {
		return
	}
	gw = netip.AddrFrom16([16]byte(raw))
	if gw.IsLinkLocalUnicast() {
		gw = gw.WithZone(f[9])
	}
	return gw, f[9], metric, true
}

func nativeUint32(b []byte) uint32 { return binary.NativeEndian.Uint32(b) }
