package test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A farmPage is a page of docs that tells how to build a farm, and the network that it draws.
type farmPage struct {
	name  string
	moves string // what is released to move the addresses
	build func(*story)
}

var farmPages = []farmPage{
	{"farm-dr.md", "web", func(s *story) {
		lan := s.Switch("lan")
		s.put("client", lan, "192.0.2.100/24")
		for i := range 2 {
			s.put(fmt.Sprintf("lb%d", i+1), lan, fmt.Sprintf("192.0.2.%d/24", i+1))
			s.put(fmt.Sprintf("web%d", i+1), lan, fmt.Sprintf("192.0.2.%d/24", i+11))
		}
	}},
	{"farm-nat.md", "farm", func(s *story) {
		outside, inside := s.Switch("outside"), s.Switch("inside")
		s.put("client", outside, "192.0.2.100/24")
		for i := range 2 {
			lb := s.put(fmt.Sprintf("lb%d", i+1), outside, fmt.Sprintf("192.0.2.%d/24", i+1))
			s.Connect(lb, "eth1", inside, fmt.Sprintf("10.0.0.%d/24", i+1))
			s.put(fmt.Sprintf("web%d", i+1), inside, fmt.Sprintf("10.0.0.%d/24", i+11))
		}
	}},
	{"farm-tunnel.md", "web", func(s *story) {
		near, far := s.Switch("near"), s.Switch("far")
		s.put("client", near, "192.0.2.100/24")
		router := s.put("router", near, "192.0.2.254/24")
		s.Connect(router, "eth1", far, "10.0.1.254/24")
		s.Must(router.Forward())
		for i := range 2 {
			lb := s.put(fmt.Sprintf("lb%d", i+1), near, fmt.Sprintf("192.0.2.%d/24", i+1))
			s.Must(lb.Route(netip.MustParsePrefix("10.0.1.0/24"), netip.MustParseAddr("192.0.2.254")))
			web := s.put(fmt.Sprintf("web%d", i+1), far, fmt.Sprintf("10.0.1.%d/24", i+11))
			s.Must(web.DefaultRoute(netip.MustParseAddr("10.0.1.254")))
		}
	}},
}

var otherHost = regexp.MustCompile(`= \S+(\s+# B: )(\S+)`)

// testFarmPage does what a page says, with its own file and commands: both servers answer under the virtual address, by either
// director, and doctor finds nothing broken.
func testFarmPage(t *testing.T, page farmPage) {
	text, err := os.ReadFile(filepath.Join("../docs", page.name))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## On the web servers\n")
	onServers, onDirectors, both := strings.Cut(rest, "\n## On both directors\n")
	if !found || !both {
		t.Fatalf("%s has not the sections of a farm's page", page.name)
	}
	s := emptyStory(t)
	page.build(s)
	conf := fenced(t, onDirectors, "toml")[0]
	for _, name := range []string{"web1", "web2"} {
		s.serve(name)
		for line := range strings.Lines(fenced(t, onServers, "sh")[0]) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "modprobe ") { // the lab's kernel loads modules by itself
				s.Run(s.hosts[name], strings.Fields(line)...)
			}
		}
	}
	for _, name := range []string{"lb1", "lb2"} {
		if name == "lb2" {
			conf = otherHost.ReplaceAllString(conf, "= $2")
		}
		s.direct(name, conf)
		for line := range strings.Lines(fenced(t, onDirectors, "sh")[0]) {
			switch line = strings.TrimSpace(line); line {
			case "systemctl enable --now director":
				s.start(name)
			case "director check", "director status":
				if out, err := s.try(name, line); err != nil {
					t.Errorf("%s: %s: %v\n%s", name, line, err, out)
				}
			case "director doctor":
				if found := findings(s.run(name, line), "through-vip", "ip-forward", "no-way", "direct-routing", "farm-address", "interface", "reverse-path"); strings.Contains(found, "broken  ") {
					t.Errorf("doctor on %s: %s", name, found)
				}
			default:
				s.Run(s.hosts[name], strings.Fields(line)...)
			}
		}
	}
	moved := func(to, from string) {
		t.Helper()
		for _, i := range s.lb[to].Status().VRRP.Instances {
			s.lb[to].WaitInstance(i.Name, "MASTER", patience)
			s.lb[from].WaitInstance(i.Name, "BACKUP", patience)
		}
		s.lb[to].WaitServers()
		s.answers("web1", "web2")
	}
	moved("lb1", "lb2")
	s.run("lb1", "director vrrp release "+page.moves)
	moved("lb2", "lb1")
}
