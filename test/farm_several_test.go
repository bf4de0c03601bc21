package test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// shopVIP is the address of the services by firewall mark.
const shopVIP = "192.0.2.81"

// A severalFarm is web, DNS and mail on one address, each with servers of its own, and a shop whose two ports share a firewall mark
// (set-up 9).
type severalFarm struct {
	*farm
	web []*netlab.Nginx // s1, s2
}

// exampleSeveral runs the example in both languages with all of its servers, and a client of each service.
func exampleSeveral(t *testing.T) {
	f := newSeveralFarm(t)
	// Quickly down, for the test's sake.
	fast := []string{`type = "http", `, `type = "http", interval = "500ms", fall = 2, `, `type = "https", `, `type = "https", interval = "500ms", fall = 2, `}
	d := startDirector(t, f.directors[0], exampleFile(t, "09-several-daemons/a.toml", fast...))
	d.WaitInstance("all", "MASTER", patience)
	d.WaitServers()
	wantTable(t, d.host, severalTable(true))
	f.useAll()

	// One web server is too few for the quorum of port 443, and enough for that of port 80. The others have nothing to do with it.
	f.web[1].KillGroup()
	waitTable(t, d.host, severalTable(false))
	if diff := cmp.Diff(map[string]int{"s1": 2}, f.ask(2, "http://"+outsideVIP+"/")); diff != "" {
		t.Errorf("port 80 (-want +got):\n%s", diff)
	}
	if got := f.secure(2, outsideVIP); got["sorry"] != 2 {
		t.Errorf("port 443 was answered by %v, want the sorry server", got)
	}
	for name, want := range map[string]string{"web": "up", "secure": "sorry", "dns": "up", "mail": "up", "shop": "up"} {
		if s := d.WaitService(name, want); name == "secure" && s.UpWeight != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	f.web[1] = f.secureNginx(f.servers[1])
	d.WaitServers()
	waitTable(t, d.host, severalTable(true))
	d.Stop()

	d = startWithConf(t, f.directors[0], exampleFile(t, "09-several-daemons/a.conf"))
	d.WaitInstance("all", "MASTER", patience)
	d.WaitServers()
	wantTable(t, d.host, severalTable(true))
	f.useAll()
	d.Stop()
}

// severalTable is the kernel's table, with both web servers or the first alone.
func severalTable(both bool) string {
	table := `
		-A -t 192.0.2.80:25 -s lc
		-a -t 192.0.2.80:25 -r 10.0.0.41:25 -m -w 1
		-a -t 192.0.2.80:25 -r 10.0.0.42:25 -m -w 1
		-A -t 192.0.2.80:80 -s wlc
		-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 1
		-A -t 192.0.2.80:443 -s wlc
		-A -u 192.0.2.80:53 -s rr -o
		-a -u 192.0.2.80:53 -r 192.0.2.31:53 -g -w 1
		-a -u 192.0.2.80:53 -r 192.0.2.32:53 -g -w 1
		-A -f 7 -s wrr -p 600
		-a -f 7 -r 192.0.2.21:0 -g -w 2
		-a -f 7 -r 192.0.2.22:0 -g -w 1
`
	if !both {
		return table + "-a -t 192.0.2.80:443 -r 10.0.0.20:443 -m -w 1"
	}
	return table + `
		-a -t 192.0.2.80:80 -r 10.0.0.12:80 -m -w 1
		-a -t 192.0.2.80:443 -r 10.0.0.11:443 -m -w 1
		-a -t 192.0.2.80:443 -r 10.0.0.12:443 -m -w 1`
}

func newSeveralFarm(t *testing.T) *severalFarm {
	t.Helper()
	f := &severalFarm{farm: newFarm(t, 1, 2)}
	inside := append([]*netlab.Host(nil), f.servers...)
	for _, name := range []string{"sorry 10.0.0.20", "m1 10.0.0.41", "m2 10.0.0.42"} {
		name, address, _ := strings.Cut(name, " ")
		inside = append(inside, f.server(name, address+"/24"))
	}
	for _, h := range inside {
		f.Must(h.DefaultRoute(netip.MustParseAddr("10.0.0.1"))) // there is no virtual address inside
	}
	for _, h := range inside[:3] {
		n := f.secureNginx(h)
		f.web = append(f.web, n)
	}
	ca := labtest.NewAuthority(t, f.client.Path("ca"))
	for _, h := range inside[3:] {
		f.Start(h, "mail", labtest.Mail(t, h.Path("mail"), netip.MustParseAddrPort("0.0.0.0:25"), ca.Server(h.Name(), 100))...)
	}
	for i, name := range []string{"d1", "d2"} {
		address := fmt.Sprintf("192.0.2.%d", 31+i)
		h := f.outsideServer(name, address+"/24", outsideVIP)
		zone := fmt.Sprintf("$ORIGIN example.com.\n@ 60 SOA ns hostmaster 1 2 3 4 5\n@ 60 NS ns\nns 60 A %[1]s\nwww 60 A %[1]s\n", address)
		f.Start(h, "nsd", labtest.NSD(t, h.Path("nsd"), zone, netip.MustParseAddrPort(address+":53"), netip.MustParseAddrPort(outsideVIP+":53"))...)
	}
	for i, name := range []string{"h1", "h2"} {
		f.secureNginx(f.outsideServer(name, fmt.Sprintf("192.0.2.%d/24", 21+i), shopVIP))
	}
	// What nft does in the example tc does here: nf_tables of User Mode Linux has no families.
	a := f.directors[0]
	f.Run(a, "tc", "qdisc", "add", "dev", "eth0", "ingress")
	for _, port := range []string{"80", "443"} {
		f.Run(a, "tc", "filter", "add", "dev", "eth0", "ingress", "protocol", "ip", "prio", port, "u32", "match", "ip", "dst", shopVIP+"/32",
			"match", "ip", "dport", port, "0xffff", "action", "skbedit", "mark", "7")
	}
	return f
}

// secureNginx starts nginx on ports 80 and 443, with a certificate that nobody has signed.
func (f *severalFarm) secureNginx(h *netlab.Host) *netlab.Nginx {
	f.t.Helper()
	pem := labtest.NewAuthority(f.t, h.Path("ca")).Server("own", 100)
	n, err := h.Nginx(netip.MustParseAddrPort("0.0.0.0:80"), h.Name(), netlab.NginxOptions{
		Server: fmt.Sprintf("listen 443 ssl; ssl_certificate %s; ssl_certificate_key %[1]s;", pem)})
	f.Must(err)
	return n
}

// useAll is a client of each service.
func (f *severalFarm) useAll() {
	f.t.Helper()
	f.both("port 80", func() map[string]int { return f.ask(1, "http://"+outsideVIP+"/") })
	f.both("port 443", func() map[string]int { return f.secure(1, outsideVIP) })
	// Each question for itself, although they come from one port.
	if diff := cmp.Diff(map[string]int{"192.0.2.31": 2, "192.0.2.32": 2}, f.resolve(4)); diff != "" {
		f.t.Errorf("DNS (-want +got):\n%s", diff)
	}
	before := kernelCounts(f.t, f.directors[0])
	for range 2 {
		f.greeting()
	}
	f.Eventually(patience, "both mail servers were used", func() error {
		counts := kernelCounts(f.t, f.directors[0])
		for _, s := range []string{"10.0.0.41:25", "10.0.0.42:25"} {
			key := outsideVIP + ":25 " + s
			if counts[key].Connections == before[key].Connections || counts[key].Counters == (control.Counters{}) {
				return fmt.Errorf("%s: %+v", s, counts[key])
			}
		}
		return nil
	})
	// Both ports lead to the same server.
	plain, secure := only(f.t, f.ask(3, "http://"+shopVIP+"/")), only(f.t, f.secure(3, shopVIP))
	if plain != secure || plain != "h1" && plain != "h2" {
		f.t.Errorf("the shop's port 80 is answered by %s, its port 443 by %s", plain, secure)
	}
}

// both asks until each web server has answered: the scheduler counts connections that are about to end, too.
func (f *severalFarm) both(what string, ask func() map[string]int) {
	f.t.Helper()
	seen := map[string]bool{}
	f.Eventually(patience, what, func() error {
		seen[only(f.t, ask())] = true
		if len(seen) != 2 || !seen["s1"] || !seen["s2"] {
			return fmt.Errorf("answered by %v", seen)
		}
		return nil
	})
}

// secure counts answers over TLS by their bodies.
func (f *severalFarm) secure(n int, vip string) map[string]int {
	f.t.Helper()
	answers := map[string]int{}
	for range n {
		out, err := f.client.Run("curl", "-s", "-S", "-f", "-k", "--max-time", "10", "https://"+vip+"/")
		f.Must(err)
		answers[strings.TrimSpace(out)]++
	}
	return answers
}

// resolve asks for www.example.com from one socket and counts the addresses that are the answers.
func (f *severalFarm) resolve(n int) map[string]int {
	f.t.Helper()
	c, err := f.client.Dial("udp", outsideVIP+":53")
	f.Must(err)
	defer c.Close()
	question, err := hex.DecodeString("12340100000100000000000003777777076578616d706c6503636f6d0000010001")
	f.Must(err)
	answers := map[string]int{}
	for range n {
		f.Must(c.SetDeadline(time.Now().Add(10 * time.Second)))
		_, err = c.Write(question)
		f.Must(err)
		reply := make([]byte, 512)
		size, err := c.Read(reply)
		f.Must(err)
		// The first answer follows the question; its address is the last four of its 16 bytes.
		first := len(question) + 16
		if size < first {
			f.t.Fatalf("a reply of %d bytes", size)
		}
		address, _ := netip.AddrFromSlice(reply[first-4 : first])
		answers[address.String()]++
	}
	return answers
}

// greeting speaks with a mail server.
func (f *severalFarm) greeting() {
	f.t.Helper()
	c, err := f.client.Dial("tcp", outsideVIP+":25")
	f.Must(err)
	defer c.Close()
	f.Must(c.SetDeadline(time.Now().Add(10 * time.Second)))
	in := bufio.NewReader(c)
	for _, say := range []string{"", "EHLO client.example.com\r\n", "QUIT\r\n"} {
		_, err := c.Write([]byte(say))
		f.Must(err)
		for {
			line, err := in.ReadString('\n')
			f.Must(err)
			if line[0] != '2' {
				f.t.Fatalf("%q is answered with %q", say, line)
			}
			if line[3] == ' ' {
				break
			}
		}
	}
}
