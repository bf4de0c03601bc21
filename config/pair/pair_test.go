package pair

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"director/config"
)

func plan() Plan {
	return Plan{
		Hosts:     [2]Host{{"lb1", netip.MustParseAddr("192.0.2.1")}, {"lb2", netip.MustParseAddr("192.0.2.2")}},
		Interface: "eth0", Address: netip.MustParsePrefix("192.0.2.10/24"), VRID: 10,
	}
}

// TestAnyPlan writes pairs of every kind: Write itself refuses what would be wrong or
// only doubtful, in one file or between the two.
func TestAnyPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan()
		if rapid.Bool().Draw(t, "ipv6") {
			p.Hosts[0].Address, p.Hosts[1].Address = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
			p.Address = netip.MustParsePrefix("2001:db8::10/64")
		}
		p.VRID = uint8(rapid.IntRange(1, 255).Draw(t, "vrid"))
		p.Unicast = rapid.Bool().Draw(t, "unicast")
		p.NoPreempt = rapid.Bool().Draw(t, "nopreempt")
		if rapid.Bool().Draw(t, "sign") {
			p.Key = "hex:" + strings.Repeat("5a", 32)
		}
		switch rapid.IntRange(0, 2).Draw(t, "track") {
		case 1:
			p.Process = "nginx"
		case 2:
			p.Port = 443
		}
		if rapid.Bool().Draw(t, "farm") {
			f := &Farm{Port: 80, Method: rapid.SampledFrom([]config.Forwarding{config.NAT, config.DR, config.Tunnel}).Draw(t, "method")}
			f.Path = rapid.SampledFrom([]string{"", "/", "/health?full=1"}).Draw(t, "path")
			for i := range rapid.IntRange(1, 5).Draw(t, "servers") {
				text := fmt.Sprintf("10.0.0.%d", 11+i)
				if p.Address.Addr().Is6() {
					text = fmt.Sprintf("2001:db8:1::%d", 11+i)
				}
				f.Servers = append(f.Servers, netip.AddrPortFrom(netip.MustParseAddr(text), uint16(rapid.SampledFrom([]int{0, 80}).Draw(t, "port"))))
			}
			if f.Method == config.NAT && rapid.Bool().Draw(t, "inside") {
				f.Inside, f.Device = netip.MustParsePrefix("10.0.0.1/24"), rapid.SampledFrom([]string{"eth0", "eth1"}).Draw(t, "device")
				if p.Address.Addr().Is6() || p.Unicast {
					f.Inside = netip.Prefix{}
				}
			}
			p.Farm = f
		}
		files, err := p.Write()
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, files[0], files[1])
		}
		for i, text := range files {
			cfg, err := config.Parse("x.toml", []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			in := cfg.Instances[0]
			if int(in.Priority) != 100-10*i || in.VRID != p.VRID || in.Unicast() != p.Unicast || in.NoPreempt != p.NoPreempt ||
				(in.Authentication.Type != "") != (p.Key != "") || in.Addresses[0].Prefix != p.Address || len(in.Uses()) > 0 != (p.Process != "" || p.Port != 0) {
				t.Errorf("host %d: %+v", i, in)
			}
			if p.Farm != nil {
				vs := cfg.VirtualServers[0]
				if vs.Forwarding != p.Farm.Method || len(vs.RealServers) != len(p.Farm.Servers) || len(vs.Checks) != 1 || vs.Checks[0].Path != p.Farm.Path && p.Farm.Path != "" {
					t.Errorf("farm of host %d: %+v", i, vs)
				}
				if inside := p.Farm.Inside.IsValid(); len(cfg.Groups) == 1 != inside || len(cfg.Instances) == 2 != inside {
					t.Errorf("inside: %d instances, %d groups", len(cfg.Instances), len(cfg.Groups))
				}
			}
			if strings.Count(text, "\n#") < 2 {
				t.Errorf("no comments in\n%s", text)
			}
		}
		if steps := strings.Join(p.Steps([2]string{"a.toml", "b.toml"}), "\n"); !strings.Contains(steps, "director check --peer b.toml a.toml") ||
			strings.Contains(steps, "ip_forward") != (p.Farm != nil && p.Farm.Method == config.NAT && p.Address.Addr().Is4()) {
			t.Errorf("steps:\n%s", steps)
		}
	})
}

// TestRefused asks for what cannot work.
func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(p *Plan) { p.Hosts[1].Name = "lb1" }, "need names of their own"},
		{func(p *Plan) { p.Hosts[1].Name = "../lb1" }, "allowed are letters, digits and ._-"},
		{func(p *Plan) { p.Hosts[1].Address = p.Hosts[0].Address }, "need addresses of their own"},
		{func(p *Plan) { p.Hosts[1].Address = netip.MustParseAddr("2001:db8::1") }, "another IP version"},
		{func(p *Plan) { p.Address = netip.MustParsePrefix("192.0.2.1/24") }, "a host's own address"},
		{func(p *Plan) { p.Address = netip.MustParsePrefix("192.0.2.10/32") }, "needs the length of its network"},
		{func(p *Plan) { p.Address = netip.MustParsePrefix("192.0.2.0/24") }, "the address of the network itself"},
		{func(p *Plan) { p.VRID = 0 }, "virtual_router_id: 0 is out of range"},
		{func(p *Plan) { p.Interface = "a name that is too long" }, "interface"},
		{func(p *Plan) { p.Key = "hex:00" }, "key"},
		{func(p *Plan) { p.Process, p.Port = "nginx", 80 }, "not both"},
		{func(p *Plan) {
			p.Farm = &Farm{Port: 80, Method: config.DR, Servers: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:81")}}
		}, "only NAT can change a port"},
		{func(p *Plan) {
			p.Farm = &Farm{Port: 80, Method: config.DR, Inside: netip.MustParsePrefix("10.0.0.1/24"), Device: "eth1"}
		}, "need no address of the directors"},
		{func(p *Plan) {
			p.Farm = &Farm{Port: 80, Method: config.NAT, Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:81")}}
		}, "is a virtual address of vrrp_instance.main"},
	} {
		p := plan()
		tc.change(&p)
		if _, err := p.Write(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %q", err, tc.want)
		}
	}
}
