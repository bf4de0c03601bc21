package test

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// TestFarms puts director in front of web farms, on a kernel with IPVS: this one, or User Mode Linux, into which the
// whole test moves with one boot. There it has one processor, so TestFarmFaults has a boot of its own beside it.
func TestFarms(t *testing.T) {
	t.Parallel()
	buildPackages(t)
	if !labtest.RequireIPVS(t, filepath.Dir(binary(t))) {
		return
	}
	t.Run("nat", testNAT)
	t.Run("direct routing", testDirectRouting)
	t.Run("tunnel", testTunnel)
	t.Run("pair", testPair)
	t.Run("examples", testExampleFarms)
	t.Run("reload", testFarmReload)
	t.Run("vrf", testVRF)
	t.Run("service manager", testServiceManager)
	t.Run("systemd", testSystemd)
	t.Run("package", testPackage)
	t.Run("unit sandbox", testUnitSandbox)
}

// TestFarmFaults is what a farm bears: processes that die, and a table that others change.
func TestFarmFaults(t *testing.T) {
	t.Parallel()
	if !labtest.RequireIPVS(t, filepath.Dir(binary(t))) {
		return
	}
	t.Run("checks under a flood", testCheckFlood)
	t.Run("kill matrix", testKillMatrix)
	t.Run("drain", testDrain)
	t.Run("table", testTable)
	t.Run("options, without twos, which 6.1 lacks", testIPVSOptions)
	t.Run("ipv6", testIPv6Farm)
	t.Run("pools", testPools)
	t.Run("through the virtual address", testThroughVIP)
	t.Run("checks by bfd", testBFDCheck)
	t.Run("ipvs commands", testIPVSCommands)
	t.Run("top", testTop)
	t.Run("checks that cannot be made", testUnchecked)
	t.Run("another namespace", testIPVSNamespace)
}

// TestFarmPromises is what directors promise to those who use them, and where keepalived does worse in the same run.
func TestFarmPromises(t *testing.T) {
	t.Parallel()
	if !labtest.RequireIPVS(t, filepath.Dir(binary(t))) {
		return
	}
	t.Run("arrivals", testArrivals)
	t.Run("fifo beside keepalived", testFIFO)
	t.Run("pool down here, up at the peer", testPoolDownHere)
	t.Run("beside keepalived", testRivals)
	t.Run("a large table", testLargeTable)
	t.Run("connection sync", testSync)
	t.Run("long transfers", testLongTransfers)
	t.Run("snmp beside keepalived", testSNMPFarm)
}

// The addresses of a farm. Clients and directors are on the outside network, servers on the inside one; the directors'
// virtual inside address is the servers' gateway.
const (
	outsideVIP = "192.0.2.80"
	insideVIP  = "10.0.0.254"
)

// patience bounds every wait for a state: what is asserted of times is asserted separately.
const patience = time.Minute

// A farm is a lab with a client, directors and servers.
type farm struct {
	*labtest.Lab
	t             *testing.T
	front, back   *netlab.Switch
	client        *netlab.Host
	directors     []*netlab.Host // a, b, ... with 192.0.2.1 and 10.0.0.1, ...
	servers       []*netlab.Host // s1, s2, ... with 10.0.0.11, ...
	backGatewayIP netip.Addr
}

// newFarm makes the hosts and starts nothing.
func newFarm(t *testing.T, directors, servers int) *farm {
	t.Helper()
	f := &farm{Lab: labtest.New(t, "farm"), t: t, backGatewayIP: netip.MustParseAddr(insideVIP)}
	f.front, f.back = f.Switch("front"), f.Switch("back")
	f.client = f.Host("client")
	f.Connect(f.client, "eth0", f.front, "192.0.2.100/24", "192.0.2.101/24")
	for i := range directors {
		h := f.Host(string(rune('a' + i)))
		f.Connect(h, "eth0", f.front, fmt.Sprintf("192.0.2.%d/24", i+1))
		f.Connect(h, "eth1", f.back, fmt.Sprintf("10.0.0.%d/24", i+1))
		f.Must(h.Forward())
		f.directors = append(f.directors, h)
	}
	for i := range servers {
		f.servers = append(f.servers, f.server(fmt.Sprintf("s%d", i+1), fmt.Sprintf("10.0.0.%d/24", i+11)))
	}
	return f
}

// server makes a host on the inside network whose gateway is the directors' inside address.
func (f *farm) server(name, prefix string) *netlab.Host {
	f.t.Helper()
	h := f.Host(name)
	f.Connect(h, "eth0", f.back, prefix)
	f.Must(h.DefaultRoute(f.backGatewayIP))
	return h
}

// nginx starts an nginx on port 80 of each host, whose page is the host's name.
func (f *farm) nginx(hosts ...*netlab.Host) []*netlab.Nginx {
	f.t.Helper()
	var list []*netlab.Nginx
	for _, h := range hosts {
		n, err := h.Nginx(netip.MustParseAddrPort("0.0.0.0:80"), h.Name(), netlab.NginxOptions{})
		f.Must(err)
		list = append(list, n)
	}
	return list
}

// webServers starts a web server on port 80 of each host, whose page is the host's name.
func (f *farm) webServers(hosts ...*netlab.Host) []*netlab.WebServer {
	f.t.Helper()
	var list []*netlab.WebServer
	for _, h := range hosts {
		w, err := h.WebServer(netip.MustParseAddrPort("0.0.0.0:80"), h.Name())
		f.Must(err)
		f.t.Cleanup(w.Close)
		list = append(list, w)
	}
	return list
}

// ask makes n requests one after another and counts the answers by body.
func (f *farm) ask(n int, url string) map[string]int {
	f.t.Helper()
	answers := map[string]int{}
	for range n {
		status, body, err := f.client.Get(url, 10*time.Second)
		if err != nil || status != 200 {
			f.t.Fatalf("%s: status %d, %v", url, status, err)
		}
		answers[body]++
	}
	return answers
}

// pairConfig is the part of a configuration that makes both addresses of a farm belong to one of its directors.
func pairConfig(priority int, advertInterval string) string {
	return fmt.Sprintf(`
[vrrp_instance.outside]
interface = "eth0"
virtual_router_id = 51
priority = %[1]d
advert_interval = %[2]q
virtual_ipaddress = ["%[3]s/24"]
track_interface = ["eth1"]

[vrrp_instance.inside]
interface = "eth1"
virtual_router_id = 52
priority = %[1]d
advert_interval = %[2]q
virtual_ipaddress = ["%[4]s/24"]
track_interface = ["eth0"]
`, priority, advertInterval, outsideVIP, insideVIP)
}

// waitMaster waits until both addresses are the director's.
func (d *director) waitMaster() {
	d.t.Helper()
	for _, name := range []string{"outside", "inside"} {
		d.WaitInstance(name, "MASTER", patience)
	}
}

// Service returns what the status says of a virtual server.
func (d *director) Service(name string) control.Service {
	d.t.Helper()
	s, err := findService(d.Status(), name)
	if err != nil {
		d.t.Fatalf("%s: %v", d.host.Name(), err)
	}
	return s
}

func findService(s control.Status, name string) (control.Service, error) {
	if s.Checkers == nil {
		return control.Service{}, fmt.Errorf("status has no checkers part")
	}
	for _, v := range s.Checkers.Services {
		if v.Name == name {
			return v, nil
		}
	}
	return control.Service{}, fmt.Errorf("status has no virtual server %q", name)
}

// serverOf returns the real server of a virtual server by its name.
func serverOf(v control.Service, name string) (control.Server, error) {
	for _, s := range v.Servers {
		if s.Name == name {
			return s, nil
		}
	}
	return control.Server{}, fmt.Errorf("%s has no server %q", v.Name, name)
}

// WaitService waits until a virtual server is in a state, and returns it.
func (d *director) WaitService(name, state string) control.Service {
	d.t.Helper()
	var found control.Service
	d.waitService(name, fmt.Sprintf("virtual server %s becomes %s", name, state), func(v control.Service) error {
		found = v
		if v.State != state {
			return fmt.Errorf("it is %s: %s", v.State, v.Reason)
		}
		return nil
	})
	return found
}

// waitService asks for the state of a virtual server until cond is content with it.
func (d *director) waitService(name, what string, cond func(control.Service) error) {
	d.t.Helper()
	d.waitFor(patience, what, func(s control.Status) error {
		v, err := findService(s, name)
		if err != nil {
			return err
		}
		return cond(v)
	})
}

// WaitServer waits until a real server is in a state, and returns it.
func (d *director) WaitServer(service, server, state string) control.Server {
	d.t.Helper()
	var found control.Server
	d.waitService(service, fmt.Sprintf("server %s of %s becomes %s", server, service, state), func(v control.Service) (err error) {
		found, err = serverOf(v, server)
		if err == nil && found.Health != state {
			err = fmt.Errorf("it is %s: %s", found.Health, found.Reason)
		}
		return err
	})
	return found
}

// WaitServers waits until all real servers of all virtual servers are up.
func (d *director) WaitServers() {
	d.t.Helper()
	d.WaitServersWithin(patience)
}

// WaitServersWithin is WaitServers with a patience of its own.
func (d *director) WaitServersWithin(limit time.Duration) {
	d.t.Helper()
	d.waitFor(limit, "all servers are up", func(s control.Status) error {
		if s.Checkers == nil {
			return fmt.Errorf("status has no checkers part")
		}
		for _, v := range s.Checkers.Services {
			for _, r := range v.Servers {
				if r.Health != "up" || !r.Installed {
					return fmt.Errorf("server %s of %s is %s: %s", r.Name, v.Name, r.Health, r.Reason)
				}
			}
		}
		return nil
	})
}

// ipvsTable is what `ipvsadm -Sn` prints, a program that is not ours, with its lines in order.
func ipvsTable(t testing.TB, h *netlab.Host) string {
	t.Helper()
	out, err := h.Run("ipvsadm", "-Sn")
	if err != nil {
		t.Fatal(err)
	}
	return sortLines(out)
}

func sortLines(text string) string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// wantTable compares a host's whole IPVS table with lines in the language of `ipvsadm -Sn`.
func wantTable(t testing.TB, h *netlab.Host, want string) {
	t.Helper()
	if diff := cmp.Diff(sortLines(want), ipvsTable(t, h)); diff != "" {
		t.Errorf("ipvsadm -Sn on %s (-want +got):\n%s", h.Name(), diff)
	}
}

// waitTable is wantTable with patience.
func waitTable(t testing.TB, h *netlab.Host, want string) {
	t.Helper()
	if err := netlab.EventuallyWithin(patience, func() error {
		if diff := cmp.Diff(sortLines(want), ipvsTable(t, h)); diff != "" {
			return fmt.Errorf("ipvsadm -Sn on %s (-want +got):\n%s", h.Name(), diff)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// kernelCount is what `ipvsadm -Ln` says of a service (its name is the key) or of a server ("service server").
type kernelCount struct {
	Active, Inactive uint32
	control.Counters
}

var ipvsLine = regexp.MustCompile(`^(TCP|UDP|FWM|  ->)\s+(\S+)\s+(.*)$`)

// kernelCounts reads all counters with ipvsadm.
func kernelCounts(t testing.TB, h *netlab.Host) map[string]kernelCount {
	t.Helper()
	counts := map[string]kernelCount{}
	read := func(take func(c *kernelCount, service bool, fields []string) error, args ...string) {
		out, err := h.Run(append([]string{"ipvsadm", "-Ln"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		service := ""
		for line := range strings.Lines(out) {
			m := ipvsLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil || m[2] == "RemoteAddress:Port" {
				continue
			}
			key := service + " " + m[2]
			if m[1] != "  ->" {
				service = m[2]
				key = service
			}
			c := counts[key]
			if err := take(&c, m[1] != "  ->", strings.Fields(m[3])); err != nil {
				t.Fatalf("ipvsadm line %q: %v", line, err)
			}
			counts[key] = c
		}
	}
	read(func(c *kernelCount, service bool, fields []string) error {
		_, err := fmt.Sscan(strings.Join(fields, " "), &c.Connections, &c.InPackets, &c.OutPackets, &c.InBytes, &c.OutBytes)
		return err
	}, "--stats", "--exact")
	read(func(c *kernelCount, service bool, fields []string) error {
		if service {
			return nil
		}
		_, err := fmt.Sscan(strings.Join(fields[2:], " "), &c.Active, &c.Inactive)
		return err
	})
	return counts
}

// statusCounts is the same, by the status.
func statusCounts(s control.Status) map[string]kernelCount {
	counts := map[string]kernelCount{}
	for _, v := range s.Checkers.Services {
		address, _, _ := strings.Cut(v.Address, "/")
		counts[address] = kernelCount{Counters: v.Counters}
		for _, r := range slices.Concat(v.Servers, v.SorryServers) {
			if r.Installed {
				counts[address+" "+r.Address] = kernelCount{Active: r.Active, Inactive: r.Inactive, Counters: r.Counters}
			}
		}
	}
	return counts
}

// wantOwnCounts compares the status with the kernel. Only the tails of connections that are being closed may
// move a counter in between, so it is tried again.
func (d *director) wantOwnCounts() map[string]kernelCount {
	d.t.Helper()
	var counts map[string]kernelCount
	if err := netlab.EventuallyWithin(patience, func() error {
		before := kernelCounts(d.t, d.host)
		counts = statusCounts(d.Status())
		if diff := cmp.Diff(before, counts); diff != "" {
			return fmt.Errorf("ipvsadm -Ln and the status differ (-kernel +status):\n%s", diff)
		}
		return nil
	}); err != nil {
		d.t.Error(err)
	}
	return counts
}

// total adds up answers.
func total(answers map[string]int) int {
	n := 0
	for _, c := range answers {
		n += c
	}
	return n
}

// only returns the one body of all answers.
func only(t testing.TB, answers map[string]int) string {
	t.Helper()
	bodies := slices.Sorted(maps.Keys(answers))
	if len(bodies) != 1 {
		t.Fatalf("answers by %v, want them all by one server", answers)
	}
	return bodies[0]
}

// replaceFile replaces a file's content at once, as an editor does.
func replaceFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}
