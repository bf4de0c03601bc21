package keepalived

import (
	"fmt"
	"strings"
	"testing"

	"director/config"

	"github.com/google/go-cmp/cmp"
)

// Servers behind a service get the port, and the encapsulation, that keepalived 2.2.7 gives them in the kernel.
func TestServersOfAService(t *testing.T) {
	const several = "virtual_server_group g {\n  192.0.2.1 80\n  192.0.2.1 443\n}\n"
	const marked = "virtual_server_group g {\n  192.0.2.1 80\n  fwmark 7\n}\n"
	const same = "virtual_server_group g {\n  192.0.2.1 80\n  192.0.2.2 80\n}\n"
	const open = "virtual_server_group g {\n  192.0.2.1\n  192.0.2.2\n}\n"
	for _, tc := range []struct {
		name, group, service, method, options, server string
		in                                            string // of the server's block
		want                                          string
		warning                                       string
	}{
		{name: "several ports, NAT, server without", group: several, method: "NAT", server: "10.0.0.1", want: "10.0.0.1"},
		{name: "several ports, NAT, server with", group: several, method: "NAT", server: "10.0.0.1 8080", want: "10.0.0.1:8080"},
		{name: "several ports, DR, server with", group: several, method: "DR", server: "10.0.0.1 80", want: "10.0.0.1",
			warning: "the group has several"},
		{name: "several ports, TUN of the server, with", group: several, method: "NAT", server: "10.0.0.1 80", in: "lvs_method TUN", want: "10.0.0.1",
			warning: "the group has several"},
		{name: "port and mark, NAT, server without", group: marked, method: "NAT", server: "10.0.0.1", want: "10.0.0.1"},
		{name: "port and mark, DR, server with", group: marked, method: "DR", server: "10.0.0.1 80", want: "10.0.0.1", warning: "the group has several"},
		{name: "one port, NAT, server without", group: same, method: "NAT", server: "10.0.0.1", want: "10.0.0.1:80"},
		{name: "one port, DR, server with another", group: same, method: "DR", server: "10.0.0.1 81", want: "10.0.0.1:80", warning: "only NAT can change it"},
		{name: "all ports, NAT, server with", group: open, method: "NAT", options: "persistence_timeout 60", server: "10.0.0.1 80", want: "10.0.0.1",
			warning: "the service takes all ports"},

		{name: "sorry server with another port, DR", method: "DR", options: "sorry_server 10.0.0.9 8080", server: "10.0.0.1 80",
			want: "10.0.0.1:80 sorry 10.0.0.9:80", warning: "8080 is not the service's port"},
		{name: "sorry server before the method", options: "sorry_server 10.0.0.9 8080\n  lb_kind DR", server: "10.0.0.1 80",
			want: "10.0.0.1:80 sorry 10.0.0.9:80", warning: "8080 is not the service's port"},
		{name: "sorry server by NAT of its own", method: "DR", options: "sorry_server 10.0.0.9 8080\n  sorry_server_lvs_method NAT", server: "10.0.0.1 80",
			want: "10.0.0.1:80 sorry 10.0.0.9:8080"},
		{name: "sorry server of several ports", group: several, method: "DR", options: "sorry_server 10.0.0.9 80", server: "10.0.0.1",
			want: "10.0.0.1 sorry 10.0.0.9", warning: "the group has several"},

		{name: "tunnel of the service", method: "TUN type gue port 6080 csum", server: "10.0.0.1 80", want: "10.0.0.1:80 gue"},
		{name: "tunnel of the server", method: "TUN type gue port 6080 csum", server: "10.0.0.1 80", in: "lvs_method TUN", want: "10.0.0.1:80 ipip"},
		{name: "tunnel of the sorry server", method: "TUN type gre csum", options: "sorry_server 10.0.0.9 80\n  sorry_server_lvs_method TUN", server: "10.0.0.1 80",
			want: "10.0.0.1:80 gre sorry 10.0.0.9:80 ipip"},
		{name: "the last method counts", method: "TUN type gre csum\n  lvs_method TUN", server: "10.0.0.1 80", want: "10.0.0.1:80"},
		{name: "one server by two ports that are repaired", method: "DR", server: "10.0.0.1 80 {\n  }\n  real_server 10.0.0.1 8080", want: "10.0.0.1:80",
			warning: "10.0.0.1 is already a server"},
		{name: "mark with persistence_engine and no persistence", method: "DR", options: "persistence_engine sip\n  protocol UDP", server: "10.0.0.1 80",
			want: "10.0.0.1:80", warning: "there is no persistence_timeout"},
		{name: "family of a group of marks", group: "virtual_server_group g {\n  fwmark 3\n}\n", method: "NAT", options: "ip_family inet6", server: "2001:db8::1 80",
			want: "[2001:db8::1]:80", warning: "of a mark its own word"},
		{name: "two dynamic checks", method: "DR", server: "10.0.0.1 80",
			in:   "MISC_CHECK {\n      misc_path /a\n      misc_dynamic\n    }\n    MISC_CHECK {\n      misc_path /b\n      misc_dynamic\n    }",
			want: "10.0.0.1:80", warning: "the least of their weights counts"},
	} {
		service := "virtual_server 192.0.2.1 80 {\n"
		if tc.group != "" {
			service = tc.group + "virtual_server group g {\n"
		}
		if tc.method != "" {
			service += "  lvs_method " + tc.method + "\n"
		}
		check := "MISC_CHECK {\n      misc_path /bin/true\n    }"
		if strings.Contains(tc.in, "MISC_CHECK") {
			check = ""
		}
		text := service + "  protocol TCP\n  " + tc.options + "\n  real_server " + tc.server + " {\n    " + tc.in + "\n    " + check + "\n  }\n}\n"
		cfg, warnings, err := Parse("x.conf", []byte(text), Options{})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		vs := &cfg.VirtualServers[0]
		server := func(s config.RealServer) string {
			text := strings.TrimSuffix(s.Address.String(), ":0")
			if s.Tunnel != nil {
				text += " " + s.Tunnel.Type
			}
			return text
		}
		got := server(vs.RealServers[0])
		for _, s := range vs.SorryServers {
			got += " sorry " + server(config.RealServer{Address: s.Address, Tunnel: s.Tunnel})
		}
		if d := cmp.Diff(tc.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, d)
		}
		said := ""
		for _, w := range warnings {
			said += fmt.Sprintln(w)
		}
		if !strings.Contains(said, tc.warning) || tc.warning == "" && strings.Contains(said, "port") {
			t.Errorf("%s: %q is not among the warnings, or there is one too many:\n%s", tc.name, tc.warning, said)
		}
	}
}

// A FILE_CHECK counts with the weight of its track_file, and keepalived's bounds of retry hold.
func TestWeightsAndRetries(t *testing.T) {
	const head = "track_file f {\n  file /run/f\n  weight 2\n  init_file 3\n}\nvirtual_server 192.0.2.1 80 {\n  protocol TCP\n  real_server 10.0.0.1 80 {\n"
	for _, tc := range []struct {
		check        string
		weight, fall int
		warning      string
	}{
		{check: "FILE_CHECK {\n  track_file f\n}", weight: 2, fall: 1, warning: "until somebody does, its number is 0"},
		{check: "FILE_CHECK {\n  track_file f\n  weight 5\n}", weight: 5, fall: 1},
		{check: "FILE_CHECK {\n  weight 5 reverse\n  track_file f\n}", weight: -5, fall: 1},
		{check: "FILE_CHECK {\n  track_file f\n  weight 0\n}", weight: 0, fall: 1},
		{check: "TCP_CHECK {\n  retry 0\n}", fall: 1},
		{check: "retry 0\nTCP_CHECK {\n}", fall: 2, warning: "0 is not used"},
		{check: "TCP_CHECK {\n}\n}\nretry 0\nreal_server 10.0.0.2 80 {", fall: 2, warning: "0 is not used"},
		{check: "TCP_CHECK {\n  retry 3\n}", fall: 4},
	} {
		cfg, warnings, err := Parse("x.conf", []byte(head+tc.check+"\n}\n}\n"), Options{})
		if err != nil {
			t.Errorf("%s: %v", tc.check, err)
			continue
		}
		c := cfg.VirtualServers[0].RealServers[0].Checks[0]
		if c.FileWeight != tc.weight || c.Fall != tc.fall {
			t.Errorf("%s: weight %d and fall %d, want %d and %d", tc.check, c.FileWeight, c.Fall, tc.weight, tc.fall)
		}
		if said := fmt.Sprint(warnings); !strings.Contains(said, tc.warning) {
			t.Errorf("%s: %q is not among the warnings:\n%s", tc.check, tc.warning, said)
		}
	}
	_, _, err := Parse("x.conf", []byte(head+"lvs_method NAT\n  lb_kind DR\n}\n}\n"), Options{})
	if err == nil || !strings.Contains(err.Error(), "it belongs into virtual_server") {
		t.Errorf("lb_kind of a real_server: error %v; keepalived does not know it there", err)
	}
}

// Of two FIFOs the second is left out, and told.
func TestTwoFIFOs(t *testing.T) {
	text := "global_defs {\n  vrrp_notify_fifo /run/a\n  lvs_notify_fifo /run/b\n}\nvrrp_instance v {\n  interface eth0\n  virtual_router_id 1\n  virtual_ipaddress {\n    192.0.2.1\n  }\n}\n"
	cfg, warnings, err := Parse("x.conf", []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprint(warnings); cfg.Notify.FIFO.Path != "/run/a" || !strings.Contains(said, `where the lines for "/run/b" are too`) {
		t.Errorf("FIFO %+v, warnings %s", cfg.Notify.FIFO, said)
	}
}
