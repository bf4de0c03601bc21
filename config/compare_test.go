package config

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// side parses a file of a pair.
func side(t *testing.T, name, text string) Side {
	t.Helper()
	cfg, err := Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Side{name, Positions(name, []byte(text)), cfg}
}

// what a comparison says, errors first.
func compared(t *testing.T, a, b string) []string {
	t.Helper()
	errs, warns := ComparePeers(side(t, "a.toml", a), side(t, "b.toml", b))
	var lines []string
	for _, e := range errs {
		lines = append(lines, e.Error())
	}
	for _, w := range warns {
		lines = append(lines, w.String())
	}
	return lines
}

// TestCompareWeights looks at pairs whose weights can or cannot change their order.
func TestCompareWeights(t *testing.T) {
	host := func(priority int, keys ...string) string {
		return fmt.Sprintf("[vrrp_instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\nvirtual_ipaddress = [\"192.0.2.10/24\"]\npriority = %d\n%s\n"+
			"[vrrp_script.a]\nscript = \"/bin/true\"\nweight = -20\n[vrrp_script.b]\nscript = \"/bin/true\"\nweight = 5\n"+
			"[vrrp_script.fault]\nscript = \"/bin/true\"\n[track_file.f]\nfile = \"/run/f\"\nweight = 1\n", priority, strings.Join(keys, "\n"))
	}
	const a, b, both, nopreempt = `track_script = ["a"]`, `track_script = ["b"]`, `track_script = ["a", "b"]`, "nopreempt = true"
	group := func(text, keys string) string {
		return text + strings.Replace(text[:strings.Index(text, "[vrrp_script")], "web", "mail", 1) + "[vrrp_sync_group.g]\ngroup = [\"web\", \"mail\"]\n" + keys + "\n"
	}
	const two = "virtual_router_id = 52\nvirtual_ipaddress = [\"192.0.2.11/24\"]"
	second := func(text string) string {
		i := strings.LastIndex(text, "virtual_router_id = 51\nvirtual_ipaddress = [\"192.0.2.10/24\"]")
		return text[:i] + two + text[i+len("virtual_router_id = 51\nvirtual_ipaddress = [\"192.0.2.10/24\"]"):]
	}
	const never = "so no weight ever moves the addresses"
	for _, tc := range []struct {
		name, a, b string
		want       string // part of the only warning, empty: there is none
	}{
		{"enough", host(100, a), host(90, a), ""},
		{"just enough for the address to decide", host(110, a), host(90, ""), ""},
		{"too little", host(111, a), host(90, ""), "a.toml:5: warning: vrrp_instance.web.priority: stays above the 90 of b.toml:5 whatever is tracked: 91 with everything down here and 90 with everything up there, " + never},
		{"too little, from below", host(90, ""), host(111, a), "stays below the 111 of b.toml:5 whatever is tracked: 90 with everything up here and 91 with everything down there, " + never},
		{"the other can rise", host(111, a), host(90, b), ""},
		{"not as much as that", host(116, a), host(90, b), "96 with everything down here and 95 with everything up there"},
		{"no weight", host(200, `track_script = ["fault"]`), host(90, ""), ""},
		{"nothing tracked", host(200, ""), host(90, ""), ""},
		{"weight and fault", host(200, `track_script = ["a", "fault"]`), host(90, ""), never},
		{"a number", host(200, a, `track_file = ["f"]`), host(90, ""), ""},
		{"reverse", host(111, `track_script = [{ name = "b", weight = 21, reverse = true }]`), host(90, ""), ""},
		{"bounds", host(254, `track_script = [{ name = "a", weight = -253 }]`), host(1, ""), ""},
		{"nopreempt on both", host(100, a, nopreempt), host(90, nopreempt), "with nopreempt on both hosts (b.toml:6) no weight of a tracker moves the addresses"},
		{"nopreempt here", host(100, a, nopreempt), host(90, both), ""},
		{"owner", host(255, a), host(90, a), ""},
		{"group", second(group(host(111, ""), a)), second(group(host(85, ""), "")), "91 with everything down here"},
		{"group far enough", second(group(host(111, a), `track_script = [{ name = "b", weight = -15 }]`)), second(group(host(85, ""), "")), ""},
	} {
		var told []string
		for _, line := range compared(t, tc.a, tc.b) {
			if strings.Contains(line, "weight") {
				told = append(told, line)
			}
		}
		if tc.want == "" && len(told) > 0 || tc.want != "" && (len(told) == 0 || !strings.Contains(told[0], tc.want)) {
			t.Errorf("%s: got %q, want %q", tc.name, told, tc.want)
		}
	}
}

func TestComparePeers(t *testing.T) {
	one := func(lines ...string) string {
		return "[vrrp_instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\n" + strings.Join(lines, "\n") + "\n"
	}
	const vip = `virtual_ipaddress = ["192.0.2.10/24"]`
	auth := func(s string) string {
		return "authentication = { type = \"PASS\", password = \"" + s + "\" }\nversion = 2"
	}
	key := func(active int, keys ...string) string {
		var list []string
		for i, k := range keys {
			if k != "" {
				list = append(list, fmt.Sprintf(`{ id = %d, key = "%s" }`, i+1, strings.Repeat(k, 32)))
			}
		}
		return fmt.Sprintf(`authentication = { type = "HMAC", keys = [%s], active_key = %d }`, strings.Join(list, ", "), active)
	}
	for _, tc := range []struct {
		name, a, b string
		want       []string
	}{
		{"a pair", one("priority = 100", vip), one("priority = 90", vip, "state = \"MASTER\"", "nopreempt = true"), nil},
		{"another name, the same address", one("priority = 100", vip), strings.Replace(one("priority = 90", vip), "web", "VI_1", 1), nil},
		{"another interface", one("priority = 100", vip), strings.Replace(one("priority = 90", vip), "eth0", "ens3", 1), nil},
		{"VRID", one("priority = 100", vip), strings.Replace(one("priority = 90", vip), "51", "52", 1),
			[]string{"a.toml:3: vrrp_instance.web.virtual_router_id: 51, but 52 at b.toml:3: neither would hear the other, and both would be MASTER"}},
		{"version", one("version = 2", vip), one("priority = 90", vip),
			[]string{"a.toml:4: vrrp_instance.web.version: 2, but 3 at b.toml:1: each would drop the adverts of the other, and both would be MASTER"}},
		{"interval of version 3", one(vip, `advert_interval = "100ms"`), one("priority = 90", vip),
			[]string{"a.toml:5: warning: vrrp_instance.web.advert_interval: 100ms, but 1s at b.toml:1: in version 2 each would drop the adverts of the other; in version 3 a backup learns the interval of the master"}},
		{"interval of version 2", one(vip, "version = 2", `advert_interval = "2s"`), one("priority = 90", vip, "version = 2"),
			[]string{"a.toml:6: vrrp_instance.web.advert_interval: 2s, but 1s at b.toml:1: in version 2 each would drop the adverts of the other; in version 3 a backup learns the interval of the master"}},
		{"password", one(vip, auth("one")), one("priority = 90", vip, auth("two")),
			[]string{"a.toml:5: vrrp_instance.web.authentication.password: not the password of b.toml:6: each would drop the adverts of the other, and both would be MASTER"}},
		{"no password", one(vip, auth("one")), one("priority = 90", vip, "version = 2"),
			[]string{"a.toml:5: vrrp_instance.web.authentication.type: PASS, but no authentication at b.toml:1: each would drop the adverts of the other, and both would be MASTER"}},
		{"keys in change", one(vip, key(1, "a", "b")), one("priority = 90", vip, key(2, "a", "b")), nil},
		{"a key that is missing", one(vip, key(1, "a")), one("priority = 90", vip, key(2, "a", "b")),
			[]string{"a.toml:5: vrrp_instance.web.authentication.keys: there is not the key 2 that the other host (b.toml:6) signs with: its adverts would be dropped"}},
		{"a key that is another", one(vip, key(1, "a")), one("priority = 90", vip, key(1, "c")), []string{
			"a.toml:5: vrrp_instance.web.authentication.keys: there is not the key 1 that the other host (b.toml:6) signs with: its adverts would be dropped",
			"a.toml:5: vrrp_instance.web.authentication.active_key: the other host (b.toml:6) does not have the key 1 that this one signs with: it would drop its adverts"}},
		{"addresses", one(vip), one("priority = 90", `virtual_ipaddress = ["192.0.2.10/24", "192.0.2.11/24"]`),
			[]string{"a.toml:4: vrrp_instance.web.virtual_ipaddress: 192.0.2.10/24, but 192.0.2.10/24, 192.0.2.11/24 at b.toml:5: an address that one host alone has goes away with it"}},
		{"the order of addresses", one(`virtual_ipaddress = ["192.0.2.11", "192.0.2.10"]`), one("priority = 90", `virtual_ipaddress = ["192.0.2.10", "192.0.2.11"]`), nil},
		{"priority", one(vip), one(vip),
			[]string{"a.toml:1: warning: vrrp_instance.web.priority: 100 on both hosts (b.toml:1): the higher address of the two is preferred, and takes over again after each outage"}},
		{"priority without preemption", one(vip, "nopreempt = true"), one(vip, "nopreempt = true"), nil},
		{"owners", one(vip, "priority = 255"), one(vip, "priority = 255"),
			[]string{"a.toml:5: vrrp_instance.web.priority: 255 on both hosts (b.toml:5): both own the addresses, and both are MASTER"}},
		{"source", one(vip, `mcast_src_ip = "192.0.2.1"`), one("priority = 90", vip, `mcast_src_ip = "192.0.2.1"`),
			[]string{"a.toml:5: vrrp_instance.web.mcast_src_ip: 192.0.2.1 on both hosts (b.toml:6): it can be the address of one"}},
		{"peers", one(vip, `unicast_src_ip = "192.0.2.1"`, `unicast_peer = ["192.0.2.2"]`), one("priority = 90", vip, `unicast_src_ip = "192.0.2.2"`, `unicast_peer = ["192.0.2.1"]`), nil},
		{"peers who are others", one(vip, `unicast_src_ip = "192.0.2.1"`, `unicast_peer = ["192.0.2.3"]`), one("priority = 90", vip, `unicast_src_ip = "192.0.2.2"`, `unicast_peer = ["192.0.2.4"]`), []string{
			"a.toml:5: vrrp_instance.web.unicast_src_ip: 192.0.2.1 is not in the list of the other host (b.toml:7): it would drop the adverts of this one",
			"a.toml:6: vrrp_instance.web.unicast_peer: does not have 192.0.2.2, which is the source of the other host's adverts (b.toml:6): they would be dropped"}},
		{"unicast and multicast", one(vip, `unicast_peer = ["192.0.2.3"]`), one("priority = 90", vip),
			[]string{"a.toml:5: vrrp_instance.web.unicast_peer: unicast, but multicast at b.toml:1: neither would hear the other, and both would be MASTER"}},
		{"router ID", "[global]\nrouter_id = \"lb\"\n" + one(vip), "[global]\nrouter_id = \"lb\"\n" + one("priority = 90", vip),
			[]string{`a.toml:2: warning: global.router_id: "lb" on both hosts: mails and events do not tell which of them speaks`}},
		{"alone", one(vip), strings.NewReplacer("web", "db", "51", "52", "192.0.2.10", "192.0.2.20").Replace(one("priority = 90", vip)), []string{
			"a.toml: warning: the instance db of b.toml:1 has no counterpart here",
			"a.toml:1: warning: vrrp_instance.web: b.toml has no instance of this name and none with an address of it: it has no backup there"}},
		{"group", one(vip) + "[vrrp_sync_group.g]\ngroup = [\"web\"]\n", one("priority = 90", vip),
			[]string{"a.toml:5: warning: vrrp_sync_group.g: b.toml has no such group: there its members move one by one"}},
		{"farm", "[virtual_server.x]\naddress = \"192.0.2.10:80\"\nscheduler = \"rr\"\nreal_server = [\"10.0.0.1:80\"]\n[virtual_server.y]\naddress = \"192.0.2.10:81\"\nreal_server = [\"10.0.0.1:81\"]\n",
			"[virtual_server.x]\naddress = \"192.0.2.10:80\"\nreal_server = [\"10.0.0.1:80\", \"10.0.0.2:80\"]\n[virtual_server.z]\naddress = \"192.0.2.10:82\"\nreal_server = [\"10.0.0.1:82\"]\n", []string{
				"a.toml: warning: the virtual server z of b.toml:4 has no counterpart here",
				"a.toml:3: warning: virtual_server.x.scheduler: rr, but wlc at b.toml:1",
				"a.toml:4: warning: virtual_server.x.real_server: 10.0.0.1:80 weight 1, but 10.0.0.1:80 weight 1, 10.0.0.2:80 weight 1 at b.toml:3",
				"a.toml:5: warning: virtual_server.y: b.toml has no virtual server of this address: nobody serves it when that host takes over"}},
		{"pools", "[virtual_server.x]\naddress = \"192.0.2.10:80\"\nramp_up = \"10s\"\npanic_threshold = \"50%\"\nsorry_server = [\"10.0.0.8\", \"10.0.0.9\"]\n",
			"[virtual_server.x]\naddress = \"192.0.2.10:80\"\nsorry_server = [\"10.0.0.9\", \"10.0.0.8\"]\n", []string{
				"a.toml:3: warning: virtual_server.x.ramp_up: 10s, but 0s at b.toml:1",
				"a.toml:4: warning: virtual_server.x.panic_threshold: 50%, but 0% at b.toml:1",
				"a.toml:5: warning: virtual_server.x.sorry_server: 10.0.0.8:80, 10.0.0.9:80, but 10.0.0.9:80, 10.0.0.8:80 at b.toml:3"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := compared(t, tc.a, tc.b)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			for _, line := range got {
				if strings.Contains(line, strings.Repeat("a", 32)) {
					t.Errorf("a key is shown: %s", line)
				}
			}
		})
	}
}

// The two sides say the same, each from its own point of view.
func TestComparePeersIsSymmetric(t *testing.T) {
	a := "[vrrp_instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\nvirtual_ipaddress = [\"192.0.2.10\"]\nuse_vmac = true\n"
	b := "[vrrp_instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 52\npriority = 90\nvirtual_ipaddress = [\"192.0.2.10\", \"192.0.2.11\"]\n"
	if x, y := compared(t, a, b), compared(t, b, a); len(x) != len(y) || len(x) != 3 {
		t.Errorf("one says\n%s\nthe other\n%s", strings.Join(x, "\n"), strings.Join(y, "\n"))
	}
}
