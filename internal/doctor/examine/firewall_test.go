package examine

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"director/internal/netlab/labtest"
)

// Each ruleset is loaded into a namespace of its own kernel tables, and the fate of an
// advert is read from it.
func TestFirewall(t *testing.T) {
	lab := labtest.New(t, "drfw")
	h, sw := lab.Host("h"), lab.Switch("lan")
	lab.Connect(h, "eth0", sw, "192.0.2.1/24", "2001:db8::1/64")
	in := packet{in: true, device: "eth0", protocol: 112, target: netip.MustParseAddr("224.0.0.18")}
	out := packet{device: "eth0", protocol: 112, target: netip.MustParseAddr("224.0.0.18")}
	in6 := packet{in: true, device: "eth0", ipv6: true, protocol: 112, target: netip.MustParseAddr("ff02::12")}
	peer := packet{in: true, device: "eth0", protocol: 112, source: netip.MustParseAddr("192.0.2.2")}
	bfd := packet{in: true, device: "eth0", protocol: 17, port: 3784, source: netip.MustParseAddr("192.0.2.2")}
	const (
		pass, drop, mayDrop = "pass", "drop", "may"
		begin               = "table inet filter { chain input { type filter hook input priority 0; policy drop; "
		end                 = "} }"
	)
	for _, tc := range []struct {
		name, rules string
		packet      packet
		want        string
		where       string
	}{
		{"no rules", "", in, pass, ""},
		{"policy", begin + "ct state established,related accept; iifname lo accept; tcp dport 22 accept; icmp type echo-request accept; " + end, in, drop, "the policy of chain inet filter input"},
		{"policy, outgoing", begin + end, out, pass, ""},
		{"protocol", begin + "ip protocol 112 accept; " + end, in, pass, ""},
		{"protocol by set", begin + "meta l4proto { tcp, 112, icmp } accept; " + end, in, pass, ""},
		{"another protocol by set", begin + "meta l4proto { tcp, icmp } accept; " + end, in, drop, "policy"},
		{"interface", begin + `iifname "eth0" accept; ` + end, in, pass, ""},
		{"interfaces by wildcard", begin + `iifname "eth*" accept; ` + end, in, pass, ""},
		{"another interface", begin + `iifname { "eth1", "lo" } accept; ` + end, in, drop, "policy"},
		{"interface by index", begin + "iif eth0 accept; " + end, in, pass, ""},
		{"group", begin + "ip daddr 224.0.0.0/4 accept; " + end, in, pass, ""},
		{"group, for IPv6", begin + "ip daddr 224.0.0.0/4 accept; " + end, in6, drop, "policy"},
		{"group by interval", "table ip f { set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 224.0.0.0/24 } } chain i { type filter hook input priority 0; policy drop; ip daddr @s accept; } }", in, pass, ""},
		{"outside the interval", "table ip f { set s { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 230.0.0.0/24 } } chain i { type filter hook input priority 0; policy drop; ip daddr @s accept; } }", in, drop, "chain ip f i"},
		{"peer", begin + "ip saddr 192.0.2.0/24 meta l4proto 112 accept; " + end, peer, pass, ""},
		{"source not known", begin + "ip saddr 192.0.2.2 accept; " + end, in, mayDrop, "policy"},
		{"type of packet", begin + "meta pkttype multicast accept; " + end, in, pass, ""},
		{"map", begin + "meta l4proto vmap { tcp : accept, 112 : accept }; " + end, in, pass, ""},
		{"map of states", begin + "ct state vmap { established : accept, related : accept, invalid : drop }; " + end, in, drop, "policy"},
		{"map with jump", "table inet filter { chain vrrp { accept; } chain input { type filter hook input priority 0; policy drop; meta l4proto vmap { 112 : jump vrrp }; " + end, in, pass, ""},
		{"jump and return", "table inet filter { chain one { ip protocol 112 return; accept; } chain input { type filter hook input priority 0; policy drop; jump one; " + end, in, drop, "policy"},
		{"goto", "table inet filter { chain one { tcp dport 22 accept; } chain input { type filter hook input priority 0; policy drop; goto one; accept; " + end, in, drop, "policy"},
		{"rule that drops", "table inet filter { chain input { type filter hook input priority 0; ip daddr 224.0.0.18 counter drop; " + end, in, drop, "rule 1 of chain inet filter input"},
		{"rule that rejects", "table inet filter { chain output { type filter hook output priority 0; oifname eth0 ip protocol 112 reject; " + end, out, drop, "rule 1 of chain inet filter output"},
		{"rate", begin + "ip protocol 112 limit rate 1/second accept; " + end, in, mayDrop, "policy"},
		{"mark", begin + "meta mark 7 accept; " + end, in, mayDrop, "policy"},
		{"early hook", "table inet raw { chain pre { type filter hook prerouting priority -300; ip ttl != 255 accept; ip protocol 112 drop; " + end, in, drop, "rule 2 of chain inet raw pre"},
		{"second chain drops", "table ip a { chain i { type filter hook input priority 0; accept; } } table ip b { chain i { type filter hook input priority 5; policy drop; } }", in, drop, "chain ip b i"},
		{"other family", "table ip6 a { chain i { type filter hook input priority 0; policy drop; } }", in, pass, ""},
		{"BFD", begin + "udp dport { 3784, 4784 } accept; " + end, bfd, pass, ""},
		{"BFD by range", begin + "udp dport 3000-3999 accept; " + end, bfd, pass, ""},
		{"BFD not", begin + "udp dport 53 accept; " + end, bfd, drop, "policy"},
		{"two fields", begin + `iifname . meta l4proto { "eth0" . 112 } accept; ` + end, in, pass, ""},
		{"nobody there", "table ip a { chain nothing { drop; } }", in, pass, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lines := strings.NewReplacer("} } table", "}\n}\ntable", " chain ", "\nchain ", "} }", "}\n}", "} table", "}\ntable").Replace(tc.rules)
			path, err := h.WriteFile("rules", "flush ruleset\n"+lines+"\n")
			if err == nil {
				_, err = h.Run("nft", "-f", path)
			}
			if err != nil {
				t.Fatal(err)
			}
			err = h.Do(func() error {
				r, err := readRules()
				if err != nil {
					return err
				}
				p := tc.packet
				p.index = 0
				if tc.name == "interface by index" {
					p = indexed(p)
				}
				fate, err := r.fate(p)
				if err != nil {
					return err
				}
				got := map[[2]bool]string{{true, false}: pass, {false, true}: drop, {true, true}: mayDrop}[[2]bool{fate.Accepts, fate.Drops}]
				if got != tc.want || !contains(fate.Where, tc.where) || (got != pass) != (fate.Chain != "") {
					return fmt.Errorf("%s: %+v, want %s by %q", got, fate, tc.want, tc.where)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// What iptables-nft makes of its extensions.
func TestExtensions(t *testing.T) {
	in := packet{in: true, device: "eth0", protocol: 112, target: netip.MustParseAddr("224.0.0.18")}
	accept := &expr.Verdict{Kind: expr.VerdictAccept}
	state := func(mask, match, invert uint16) *expr.Match {
		return &expr.Match{Name: "conntrack", Rev: 3, Info: &xt.ConntrackMtinfo3{ConntrackMtinfo2: xt.ConntrackMtinfo2{
			ConntrackMtinfoBase: xt.ConntrackMtinfoBase{MatchFlags: match, InvertFlags: invert}, StateMask: mask}}}
	}
	const established, fresh, byState, byStatus = 2, 8, 1, 2
	for _, tc := range []struct {
		name         string
		rules        []rule
		passes, dies bool
	}{
		{"none", nil, false, true},
		{"-m conntrack --ctstate ESTABLISHED -j ACCEPT", []rule{{state(established, byState, 0), accept}}, false, true},
		{"-m conntrack --ctstate NEW -j ACCEPT", []rule{{state(fresh, byState, 0), accept}}, true, false},
		{"-m conntrack ! --ctstate ESTABLISHED -j ACCEPT", []rule{{state(established, byState, byState), accept}}, true, false},
		{"-m conntrack --ctstatus ASSURED -j ACCEPT", []rule{{state(0, byStatus, 0), accept}}, true, true},
		{"-m comment -j ACCEPT", []rule{{&expr.Match{Name: "comment"}, &expr.Counter{}, accept}}, true, false},
		{"-m mac -j ACCEPT", []rule{{&expr.Match{Name: "mac"}, accept}}, true, true},
		{"-j REJECT", []rule{{&expr.Target{Name: "REJECT"}}, {accept}}, false, true},
		{"-j LOG, -j ACCEPT", []rule{{&expr.Target{Name: "LOG"}}, {accept}}, true, false},
		{"-m set, then a register", []rule{{&expr.Hash{DestRegister: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{0, 0, 0, 1}}, accept}}, true, true},
		{"-j QUEUE", []rule{{&expr.Queue{}}}, true, false},
	} {
		r := &ruleset{chains: []*chain{{family: nftables.TableFamilyIPv4, table: "filter", name: "INPUT", kind: nftables.ChainTypeFilter, hook: hookInput, drops: true, rules: tc.rules}}}
		fate, err := r.fate(in)
		if err != nil || fate.Accepts != tc.passes || fate.Drops != tc.dies {
			t.Errorf("%s: %+v, %v, want it to pass %v, to be dropped %v", tc.name, fate, err, tc.passes, tc.dies)
		}
	}
	// Chains that call each other end.
	loop := &chain{family: nftables.TableFamilyIPv4, table: "filter", name: "a", hook: hookInput, rules: []rule{{&expr.Verdict{Kind: expr.VerdictJump, Chain: "a"}}}}
	if fate, err := (&ruleset{chains: []*chain{loop}}).fate(in); err != nil || !fate.Accepts {
		t.Errorf("a loop: %+v, %v", fate, err)
	}
}
