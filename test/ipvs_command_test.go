package test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"director/internal/netlab"
)

// everyKind is a table with each kind of service and server that ipvsadm can make. The addresses of the services lie
// near each other: ipvsadm's own order goes wrong where they are far apart.
const everyKind = `-A -t 192.0.2.1:80 -s wlc -p 300 -M 255.255.255.0
-a -t 192.0.2.1:80 -r 192.0.2.2:8080 -m -w 10 -x 100 -y 50
-A -t 192.0.2.1:81 -s wrr -b flag-1,flag-2,flag-3
-a -t 192.0.2.1:81 -r 10.0.0.2:81 -m -w 2147483647
-A -t 192.0.2.1:443 -s mh -p 300 -b mh-fallback,mh-port
-a -t 192.0.2.1:443 -r 10.0.0.1:443 -g -w 1
-a -t 192.0.2.1:443 -r 10.0.0.2:443 -i -w 1 --tun-type ipip
-a -t 192.0.2.1:443 -r 10.0.0.3:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum
-a -t 192.0.2.1:443 -r 10.0.0.4:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -t 192.0.2.1:443 -r 10.0.0.5:443 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum
-a -t 192.0.2.1:443 -r 10.0.0.6:443 -i -w 1 --tun-type gre --tun-nocsum
-a -t 192.0.2.1:443 -r 10.0.0.7:443 -i -w 1 --tun-type gre --tun-csum
-a -t 192.0.2.1:443 -r [2001:db8::7]:443 -i -w 1 --tun-type ipip
-A -t 192.0.2.9:0 -s rr -p 100
-a -t 192.0.2.9:0 -r 10.0.0.1:0 -g -w 0
-A -u 192.0.2.1:53 -s rr
-a -u 192.0.2.1:53 -r 192.0.2.2:5000 -m -w 1
-A -u 192.0.2.1:54 -s rr -o
-A -u 192.0.2.1:5060 -s rr -p 60 --pe sip -o
-a -u 192.0.2.1:5060 -r 192.0.2.2:5060 -m -w 1
-A --sctp-service 192.0.2.1:9899 -s sh -b sh-fallback,sh-port
-A -t [2001:db8::1]:80 -s sed -p 10 -M 64
-a -t [2001:db8::1]:80 -r 10.0.0.1:80 -i -w 1 --tun-type ipip
-a -t [2001:db8::1]:80 -r [2001:db8:1:2:3:4:5:6]:8080 -m -w 65536
-A -u [2001:db8::1]:53 -s rr -p 100
-a -u [2001:db8::1]:53 -r [2001:db8::2]:5000 -m -w 1
-A -f 7 -s nq -p 360
-a -f 7 -r 192.0.2.2:0 -m -w 1
-A -f 7 -6 -s rr
-a -f 7 -6 -r [2001:db8::2]:0 -g -w 1
-A -f 2147483647 -s rr
`

// besideIPVSadm is a host whose IPVS both programs are asked about.
type besideIPVSadm struct {
	*farm
	h *netlab.Host
}

// director runs `director ipvs ...` on the host.
func (b besideIPVSadm) director(args ...string) string {
	b.t.Helper()
	out, err := b.h.Run(append([]string{binary(b.t), "ipvs"}, args...)...)
	if err != nil {
		b.t.Fatalf("director ipvs %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (b besideIPVSadm) ipvsadm(args ...string) string {
	b.t.Helper()
	out, err := b.h.Run(append([]string{"ipvsadm"}, args...)...)
	if err != nil {
		b.t.Fatalf("ipvsadm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// fed gives director a standard input, and returns what it said and whether it succeeded.
func (b besideIPVSadm) fed(input string, args ...string) (string, error) {
	cmd := b.h.Command(b.t.Context(), append([]string{binary(b.t), "ipvs"}, args...)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// same waits until both say the same: expiry and averages change while one asks.
func (b besideIPVSadm) same(adm, ours string) {
	b.t.Helper()
	b.Eventually(patience, "director ipvs "+ours, func() error {
		want := b.ipvsadm(strings.Fields(adm)...)
		if d := cmp.Diff(want, b.director(strings.Fields(ours)...)); d != "" {
			return fmt.Errorf("ipvsadm %s (-), director ipvs %s (+):\n%s", adm, ours, d)
		}
		return nil
	})
}

// testIPVSCommands holds director's listings against those of ipvsadm, byte for byte, and carries tables both ways.
func testIPVSCommands(t *testing.T) {
	f := newFarm(t, 1, 0)
	b := besideIPVSadm{f, f.directors[0]}
	for _, p := range []string{"192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32", "2001:db8::1/128", "2001:db8::2/128", "2001:db8::3/128"} {
		f.Must(b.h.AddAddr("lo", netip.MustParsePrefix(p)))
	}
	if out, err := b.fed(everyKind, "restore"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	saved := strings.Replace(everyKind, " -x 100 -y 50", "", 1) // which ipvsadm forgets
	if d := cmp.Diff(saved, b.ipvsadm("-Sn")); d != "" {
		t.Fatalf("restored (-), ipvsadm -Sn (+):\n%s", d)
	}
	if d := cmp.Diff(everyKind, b.director("save")); d != "" {
		t.Fatalf("restored (-), saved (+):\n%s", d)
	}
	b.traffic()

	for adm, ours := range map[string]string{
		"-Ln":                               "list",
		"-Ln --thresholds":                  "list --thresholds",
		"-Ln --persistent-conn":             "list --persistent-conn",
		"-Ln --tun-info":                    "list --tun-info",
		"-L --timeout":                      "list --timeout",
		"-Ln --stats":                       "stats",
		"-Ln --stats --exact":               "stats --exact",
		"-Ln --rate":                        "rate",
		"-Lnc":                              "connections",
		"-Lnc --persistent-conn":            "connections --persistent-conn",
		"-Ln -t 192.0.2.1:443":              "list -t 192.0.2.1:443",
		"-Ln -u [2001:db8::1]:53":           "list -u [2001:db8::1]:53",
		"-Ln --stats -f 7":                  "stats -f 7",
		"-Ln -f 7 -6":                       "list -6 -f 7",
		"-Ln --sctp-service 192.0.2.1:9899": "list --sctp-service=192.0.2.1:9899",
		"-L -t 192.0.2.1:443":               "list --resolve -t 192.0.2.1:443",
	} {
		b.same(adm, ours)
	}
	if conns := b.ipvsadm("-Lnc", "--persistent-conn"); !strings.Contains(conns, "sip") || !strings.Contains(conns, "ASSURED") || !strings.Contains(conns, "IP  ") {
		t.Errorf("the connections do not have every kind:\n%s", conns)
	}
	b.chosen()
	b.zeroed()
	b.carried(saved)
	b.refused()
	b.warned()
	b.planned()

	b.ipvsadm("-C")
	b.ipvsadm("--start-daemon", "master", "--mcast-interface", "eth0", "--syncid", "7")
	b.ipvsadm("--start-daemon", "backup", "--mcast-interface", "eth1", "--syncid", "8", "--mcast-group", "ff02::81", "--mcast-port", "8849", "--mcast-ttl", "3")
	b.same("-L --daemon", "list --daemon")
	b.ipvsadm("--stop-daemon", "master")
	b.ipvsadm("--stop-daemon", "backup")
	if os.Getenv("DIRECTOR_BENCH") != "" {
		b.measured()
	}
}

// traffic makes connections of each kind.
func (b besideIPVSadm) traffic() {
	b.t.Helper()
	server, err := b.h.Listen("tcp4", "192.0.2.2:8080")
	b.Must(err)
	b.t.Cleanup(func() { server.Close() })
	for range 2 {
		c, err := b.h.Dial("tcp4", "192.0.2.1:80")
		b.Must(err)
		b.t.Cleanup(func() { c.Close() })
	}
	send := func(address, text string, mark int) {
		b.t.Helper()
		c, err := b.h.Dial("udp", address)
		b.Must(err)
		b.t.Cleanup(func() { c.Close() })
		if mark != 0 {
			raw, err := c.(*net.UDPConn).SyscallConn()
			b.Must(err)
			b.Must(errors.Join(raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) }), err))
		}
		if _, err := c.Write([]byte(text)); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			b.t.Fatal(err)
		}
	}
	send("192.0.2.1:53", "question", 0)
	send("[2001:db8::1]:53", "question", 0)
	send("192.0.2.3:99", "marked", 7)
	send("192.0.2.1:5060", "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nCall-ID: abc123@example.com\r\nContent-Length: 0\r\n\r\n", 0)
}

// chosen: filters, counts and JSON of connections, and another network namespace.
func (b besideIPVSadm) chosen() {
	b.t.Helper()
	lines := func(args ...string) int {
		return strings.Count(b.director(append([]string{"connections"}, args...)...), "\n")
	}
	for _, c := range []struct {
		args string
		want int // with the two lines of the heading
	}{
		{"-t 192.0.2.1:80", 5}, {"-t 192.0.2.1:80 --no-templates", 4}, {"-t 192.0.2.1:80 --state established", 4}, {"-u 192.0.2.1:80", 2},
		{"--server 192.0.2.2:8080", 5}, {"--server 192.0.2.2:8081", 2}, {"--client 192.0.2.0/24 -t 192.0.2.1:80", 5}, {"--client 198.51.100.1", 2},
	} {
		if got := lines(strings.Fields(c.args)...); got != c.want {
			b.t.Errorf("connections %s has %d lines, want %d:\n%s", c.args, got, c.want, b.director(append([]string{"connections"}, strings.Fields(c.args)...)...))
		}
	}
	if out := b.director("connections", "-t", "192.0.2.1:80", "--counts"); !strings.Contains(out, "TCP  ESTABLISHED            2\n") {
		b.t.Errorf("the counts are\n%s", out)
	}
	if out := b.director("connections", "--json", "--state", "established"); strings.Count(out, `"virtual":"192.0.2.1:80"`) != 2 {
		b.t.Errorf("the connections are\n%s", out)
	}
	there := strings.TrimSpace(b.director("list"))
	here, err := exec.Command(binary(b.t), "ipvs", "list", "--netns", b.h.Namespace()).CombinedOutput()
	if err != nil || strings.TrimSpace(string(here)) != there {
		b.t.Errorf("with --netns: %v\n%s", err, here)
	}
	conf, err := b.h.WriteFile("elsewhere.toml", fmt.Sprintf("[global]\nipvs_network_namespace = %q\n[virtual_server.web]\naddress = \"192.0.2.1:80\"\nscheduler = \"rr\"\nreal_server = [\"10.0.0.11\"]\n", b.h.Namespace()))
	b.Must(err)
	if here, err = exec.Command(binary(b.t), "ipvs", "list", "-c", conf).CombinedOutput(); err != nil || strings.TrimSpace(string(here)) != there {
		b.t.Errorf("with ipvs_network_namespace: %v\n%s", err, here)
	}
}

// zeroed: the counters of one service, and of all.
func (b besideIPVSadm) zeroed() {
	b.t.Helper()
	conns := func(service string) string {
		for line := range strings.Lines(b.ipvsadm("-Ln", "--stats", "--exact")) {
			if f := strings.Fields(line); len(f) > 2 && f[1] == service {
				return f[2]
			}
		}
		return "none"
	}
	if got := conns("192.0.2.1:80") + conns("192.0.2.1:53"); got != "21" {
		b.t.Fatalf("before anything is zeroed the connections are %s", got)
	}
	b.director("zero", "-t", "192.0.2.1:80")
	if got := conns("192.0.2.1:80") + conns("192.0.2.1:53"); got != "01" {
		b.t.Errorf("after one was zeroed the connections are %s", got)
	}
	b.director("zero")
	if got := conns("192.0.2.1:53"); got != "0" {
		b.t.Errorf("after all were zeroed the connections are %s", got)
	}
	if out, err := b.h.Run(binary(b.t), "ipvs", "zero", "-t", "192.0.2.1:99"); err == nil {
		b.t.Errorf("a service that is not there was zeroed: %s", out)
	}
}

// carried: tables go from one program to the other, and with --diff what stays is not touched.
func (b besideIPVSadm) carried(saved string) {
	b.t.Helper()
	ours := b.director("save")
	b.ipvsadm("-C")
	if out, err := b.fed(saved, "restore"); err != nil {
		b.t.Fatalf("what ipvsadm saved: %v: %s", err, out)
	}
	if d := cmp.Diff(saved, b.ipvsadm("-Sn")); d != "" {
		b.t.Errorf("what ipvsadm saved is restored as (+):\n%s", d)
	}
	b.ipvsadm("-C")
	cmd := b.h.Command(b.t.Context(), "ipvsadm", "-R")
	cmd.Stdin = strings.NewReader(ours)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		b.t.Fatalf("ipvsadm -R of what director saved: %v: %s", err, out)
	}
	if d := cmp.Diff(ours, b.director("save")); d != "" {
		b.t.Errorf("what director saved is restored by ipvsadm as (+):\n%s", d)
	}

	c, err := b.h.Dial("tcp4", "192.0.2.1:80")
	b.Must(err)
	defer c.Close()
	changed := strings.Replace(ours, "-r 192.0.2.2:8080 -m -w 10 ", "-r 192.0.2.2:8080 -m -w 20 ", 1)
	changed = strings.Replace(changed, "-A -f 2147483647 -s rr\n", "-A -f 6 -s rr\n", 1)
	if dry, err := b.fed(changed, "restore", "--diff", "--dry-run"); err != nil || dry != "-A -f 6 -s rr\n-e -t 192.0.2.1:80 -r 192.0.2.2:8080 -m -w 20 -x 100 -y 50\n-D -f 2147483647\n" {
		b.t.Errorf("the difference is %v\n%s", err, dry)
	}
	if out, err := b.fed(changed, "restore", "--diff"); err != nil {
		b.t.Fatalf("%v: %s", err, out)
	}
	if out := b.director("save"); out != strings.Replace(strings.Replace(changed, "-A -f 6 -s rr\n", "", 1), "-A -f 7 -s nq", "-A -f 6 -s rr\n-A -f 7 -s nq", 1) {
		b.t.Errorf("after --diff the table is\n%s", out)
	}
	if out := b.ipvsadm("-Ln", "-t", "192.0.2.1:80"); !strings.Contains(out, "192.0.2.2:8080               Masq    20     3 ") {
		b.t.Errorf("a connection did not survive a change of weight:\n%s", out)
	}
	if out, err := b.fed("-A -t 192.0.2.1:80\n", "restore", "--clear"); err != nil || b.director("save") != "-A -t 192.0.2.1:80 -s wlc\n" {
		b.t.Errorf("after --clear: %v %s\n%s", err, out, b.director("save"))
	}
}

// refused: when one line is wrong, nothing is done of any.
func (b besideIPVSadm) refused() {
	b.t.Helper()
	for text, want := range map[string]string{
		"-A -t 192.0.2.1:82\n-A -t 192.0.2.1:83 -s best\n": "standard input:2: -s \"best\": allowed is one of rr, wrr",
		"-A -t 192.0.2.1:82\n-A -t 192.0.2.1:80\n":         "standard input:2: add 192.0.2.1:80/tcp: it is in the table already",
	} {
		out, err := b.fed(text, "restore")
		if err == nil || !strings.Contains(out, want) || !strings.Contains(out, "nothing has been changed") {
			b.t.Errorf("%s: %v, %s", text, err, out)
		}
	}
	if out := b.director("save"); out != "-A -t 192.0.2.1:80 -s wlc\n" {
		b.t.Errorf("what was refused has changed the table to\n%s", out)
	}
	// What the kernel alone knows: this one has no such scheduler.
	if out, err := b.fed("-A -t 192.0.2.1:84 -s twos\n-A -t 192.0.2.1:85\n", "restore"); err == nil || !strings.Contains(out, "add 192.0.2.1:84/tcp: no such file or directory") || !strings.Contains(out, "1 of 2 changes failed") {
		b.t.Errorf("%v, %s", err, out)
	}
}

// warned: a director that runs is told of.
func (b besideIPVSadm) warned() {
	b.t.Helper()
	d := startDirector(b.t, b.h, "[virtual_server.web]\naddress = \"192.0.2.1:90\"\nscheduler = \"rr\"\nreal_server = [\"10.0.0.11\"]\n")
	out, err := b.fed("-D -t 192.0.2.1:85\n", "restore", "--runtime-dir", d.RuntimeDir())
	if err != nil || !strings.Contains(out, "director runs here and has 1 virtual server: it puts back") {
		b.t.Errorf("%v, %s", err, out)
	}
	out, err = b.fed("", "zero", "--runtime-dir", d.RuntimeDir())
	if err != nil || !strings.Contains(out, "director runs here and shows 1 virtual server") {
		b.t.Errorf("%v, %s", err, out)
	}
	d.Stop()
}

// planned: what director plan says is what a reload then does to the kernel, and applied is taken back.
func (b besideIPVSadm) planned() {
	b.t.Helper()
	b.ipvsadm("-C")
	const conf = "[global]\nreconcile_interval = \"1h\"\n[virtual_server.web]\naddress = \"192.0.2.1:90\"\nscheduler = \"rr\"\nreal_server = [\"10.0.0.11\", \"10.0.0.12\"]\n"
	d := startDirector(b.t, b.h, conf)
	before := b.ipvsadm("-Sn")
	b.ipvsadm("-e", "-t", "192.0.2.1:90", "-r", "10.0.0.11", "-m", "-w", "9")
	edited := b.ipvsadm("-Sn")
	next, err := b.h.WriteFile("next.toml", strings.NewReplacer(`"rr"`, `"wlc"`, `, "10.0.0.12"`, "").Replace(conf))
	b.Must(err)
	plan, err := b.h.Run(d.argv("plan", next)...)
	const ops = "  -E -t 192.0.2.1:90 -s wlc\n  -e -t 192.0.2.1:90 -r 10.0.0.11:90 -m -w 1\n  -d -t 192.0.2.1:90 -r 10.0.0.12:90\n"
	if err == nil || !strings.Contains(err.Error(), "exit status 2") || !strings.Contains(plan, "1 of these undoes what somebody else did\n"+ops) {
		b.t.Errorf("the plan is %v\n%s", err, plan)
	}
	if now := b.ipvsadm("-Sn"); now != edited {
		b.t.Errorf("a plan has changed the table to\n%s", now)
	}
	if out, err := b.h.Run(d.argv("apply", next, "--confirm", "1h")...); err != nil || !strings.Contains(out, "-E -t 192.0.2.1:90 -s wlc") {
		b.t.Errorf("apply: %v\n%s", err, out)
	}
	if now := b.ipvsadm("-Sn"); now != "-A -t 192.0.2.1:90 -s wlc\n-a -t 192.0.2.1:90 -r 10.0.0.11:90 -m -w 1\n" {
		b.t.Errorf("what was applied has made the table\n%s", now)
	}
	if out, err := b.h.Run(d.argv("undo")...); err != nil {
		b.t.Errorf("undo: %v\n%s", err, out)
	}
	b.Eventually(patience, "the former table", func() error {
		if now := b.ipvsadm("-Sn"); now != before {
			return fmt.Errorf("the table is\n%s", now)
		}
		return nil
	})
	d.Stop()
}

// measured compares a restore of 10,000 real servers with that of ipvsadm, each a process of its own.
func (b besideIPVSadm) measured() {
	b.t.Helper()
	for _, services := range []int{1, 500} {
		var text strings.Builder
		for s := range services {
			service := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(2 + s>>8), byte(s)}), 80)
			fmt.Fprintf(&text, "-A -t %v -s rr\n", service)
			for d := range 10_000 / services {
				fmt.Fprintf(&text, "-a -t %v -r %v:80 -m -w 1\n", service, netip.AddrFrom4([4]byte{172, byte(s), byte(d >> 8), byte(d)}))
			}
		}
		took := func(argv ...string) time.Duration {
			b.ipvsadm("-C")
			cmd := b.h.Command(b.t.Context(), argv...)
			cmd.Stdin = strings.NewReader(text.String())
			begin := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				b.t.Fatalf("%v: %v: %s", argv, err, out)
			}
			return time.Since(begin)
		}
		theirs := took("ipvsadm", "-R")
		ours := took(binary(b.t), "ipvs", "restore")
		if got := b.ipvsadm("-Sn"); got != text.String() {
			b.t.Errorf("restored are %d lines, ipvsadm -Sn has %d", strings.Count(text.String(), "\n"), strings.Count(got, "\n"))
		}
		begin := time.Now()
		b.director("list")
		list := time.Since(begin)
		begin = time.Now()
		b.ipvsadm("-Ln")
		b.t.Logf("%d services, 10,000 servers: director ipvs restore %v, ipvsadm -R %v, %.1f times as fast; director ipvs list %v, ipvsadm -Ln %v", services,
			ours.Round(time.Millisecond), theirs.Round(time.Millisecond), theirs.Seconds()/ours.Seconds(), list.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
		if ours > theirs {
			b.t.Errorf("with %d services restore is slower than ipvsadm -R", services)
		}
	}
}
