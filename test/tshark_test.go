package test

import (
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tshark counts, in one reading of a capture, the packets that pass each of some display filters.
func tshark(t testing.TB, file string, filters ...string) []int {
	t.Helper()
	out, err := exec.Command("tshark", "-n", "-q", "-r", file, "-o", "vrrp.v3_checksum_as_in_v2:FALSE",
		"-z", "io,stat,0,"+strings.Join(filters, ",")).CombinedOutput()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, out)
	}
	// The one line of the table: | 0.000 <> 1.000 | frames | bytes | frames | bytes |
	for line := range strings.Lines(string(out)) {
		cells := strings.Split(line, "|")
		if len(cells) != 2*len(filters)+3 || !strings.Contains(cells[1], "<>") {
			continue
		}
		counts := make([]int, len(filters))
		for i := range counts {
			if counts[i], err = strconv.Atoi(strings.TrimSpace(cells[2*i+2])); err != nil {
				t.Fatalf("tshark: %v in\n%s", err, out)
			}
		}
		return counts
	}
	t.Fatalf("tshark did not count %q:\n%s", filters, out)
	return nil
}

// audit asserts that tshark finds in a capture so many packets of each kind, or more, and none that passes the filter of a fault.
func audit(t testing.TB, file string, least map[string]int, faults ...string) {
	t.Helper()
	kinds := slices.Sorted(maps.Keys(least))
	counts := tshark(t, file, append(kinds, faults...)...)
	for i, kind := range kinds {
		if counts[i] < least[kind] {
			t.Errorf("tshark sees %d packets with %s, want %d", counts[i], kind, least[kind])
		}
	}
	for i, fault := range faults {
		if n := counts[len(kinds)+i]; n > 0 {
			t.Errorf("tshark finds %d packets with %s", n, fault)
		}
	}
}

// vrrpFaults are the filters that no VRRP packet passes.
var vrrpFaults = []string{
	"_ws.malformed && vrrp", `vrrp.checksum.status == "Bad"`, "vrrp && ip.ttl != 255", "vrrp && ipv6.hlim != 255",
	`vrrp && _ws.expert.severity >= "Warning"`,
}

// sound asserts that tshark finds VRRP packets and none that is malformed, has a wrong checksum or another fault.
func sound(t testing.TB, file string) {
	t.Helper()
	audit(t, file, map[string]int{"vrrp": 10}, vrrpFaults...)
}

// sound6 is sound for VRRP over IPv6, with the announcements of an address.
func sound6(t testing.TB, file, address string) {
	t.Helper()
	na := "icmpv6.type == 136 && ipv6.dst == ff02::1 && icmpv6.nd.na.target_address == " + address
	audit(t, file, map[string]int{"vrrp && ipv6": 10, na: 5}, append([]string{
		"_ws.malformed", `icmpv6.checksum.status == "Bad"`, na + ` && _ws.expert.severity >= "Warning"`,
		na + " && (icmpv6.nd.na.flag.o == 0 || icmpv6.nd.na.flag.s == 1 || ipv6.hlim != 255)",
	}, vrrpFaults...)...)
}
