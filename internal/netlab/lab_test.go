package netlab_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

// labTests run on this machine's kernel and again inside User Mode Linux.
func labTests(t *testing.T) {
	t.Run("basics", testBasics)
	t.Run("cut and unplug", testCutAndUnplug)
	t.Run("isolate", testIsolate)
	t.Run("routing", testRouting)
	t.Run("namespace of sockets", testDo)
	t.Run("two labs of one name", testTwoLabs)
	t.Run("names", testNames)
	t.Run("processes", testProcesses)
	t.Run("process group", testProcessGroup)
	t.Run("command", testCommand)
	t.Run("capture", testCapture)
	t.Run("pcap", testPcap)
	t.Run("load over an outage", testLoad)
	t.Run("udp load", testLoadUDP)
	t.Run("transfer", testTransfer)
	t.Run("nginx", testNginx)
	t.Run("keepalived pair", testKeepalived)
}

func TestLab(t *testing.T) {
	t.Parallel()
	if labtest.RequireLab(t) {
		labTests(t)
	}
}

func TestLabInsideUML(t *testing.T) {
	t.Parallel()
	if !labtest.RequireIPVS(t) {
		return
	}
	t.Run("ipvs", func(t *testing.T) {
		lab := labtest.New(t, "nlab")
		a, b := lab.Host("a"), lab.Host("b")
		lab.Run(a, "ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "wlc")
		if got := lab.Run(a, "ipvsadm", "-Sn"); !strings.Contains(got, "-A -t 192.0.2.1:80 -s wlc") {
			t.Errorf("table on a: %q", got)
		}
		if got := lab.Run(b, "ipvsadm", "-Sn"); got != "" {
			t.Errorf("table on b is not empty: %q", got)
		}
	})
	labTests(t)
}

// pair is a lab with two hosts, 10.0.0.1 and 10.0.0.2, on one switch.
func pair(t *testing.T) (lab *labtest.Lab, a, b *netlab.Host, pa, pb *netlab.Port, sw *netlab.Switch) {
	t.Helper()
	lab = labtest.New(t, "nlab")
	a, b, sw = lab.Host("a"), lab.Host("b"), lab.Switch("lan")
	pa = lab.Connect(a, "eth0", sw, "10.0.0.1/24", "2001:db8::1/64")
	pb = lab.Connect(b, "eth0", sw, "10.0.0.2/24", "2001:db8::2/64")
	return
}

// reaches reports whether a ping is answered within a second.
func reaches(h *netlab.Host, addr string) bool {
	_, err := h.Run("ping", "-n", "-c1", "-W1", addr)
	return err == nil
}

// silent reports whether a few pings stay without an answer.
func silent(h *netlab.Host, addr string) bool {
	_, err := h.Run("ping", "-n", "-c2", "-i0.1", "-W0.2", addr)
	return err != nil
}

func carrier(t *testing.T, h *netlab.Host, ifname string) bool {
	t.Helper()
	link, err := h.Netlink().LinkByName(ifname)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
}

func testBasics(t *testing.T) {
	start := time.Now()
	lab, a, b, _, _, _ := pair(t)
	t.Logf("two hosts, a switch and two cables: %v", time.Since(start))
	for _, addr := range []string{"10.0.0.2", "2001:db8::2"} {
		lab.Within(30*time.Second, "a reaches "+addr, func() bool { return reaches(a, addr) })
		mac, ok := a.Neighbour(netip.MustParseAddr(addr))
		if want, _ := b.MAC("eth0"); !ok || mac.String() != want.String() {
			t.Errorf("a has %v for %s, want %v", mac, addr, want)
		}
	}
	if mac, _ := b.MAC("eth0"); mac.String() != "02:00:00:00:02:01" {
		t.Errorf("MAC of b is %v", mac)
	}
	if _, ok := a.Neighbour(netip.MustParseAddr("10.0.0.77")); ok {
		t.Error("a knows a neighbour that does not exist")
	}
	vip := netip.MustParsePrefix("10.0.0.100/32")
	if a.HasAddr(vip.Addr()) {
		t.Error("a has the address before it was added")
	}
	lab.Must(a.AddAddr("eth0", vip))
	if !a.HasAddr(vip.Addr()) {
		t.Error("a does not have the added address")
	}
	lab.Within(30*time.Second, "b reaches the added address", func() bool { return reaches(b, "10.0.0.100") })
	lab.Must(a.DelAddr("eth0", vip))
	if a.HasAddr(vip.Addr()) || !silent(b, "10.0.0.100") {
		t.Error("a still has the deleted address")
	}
	lab.Must(a.Sysctl("net.ipv4.conf.eth0.arp_ignore", "1"))
	if got := lab.Run(a, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore"); got != "1\n" {
		t.Errorf("arp_ignore is %q", got)
	}
	if err := a.Sysctl("net.ipv4.nosuch", "1"); err == nil {
		t.Error("an unknown setting was set")
	}
	if out := lab.Run(a, "ip", "netns", "exec", b.Namespace(), "ip", "-4", "addr"); !strings.Contains(out, "10.0.0.2/24") {
		t.Errorf("ip netns exec shows %s", out)
	}
	if _, err := lab.Lab.Host("a"); err == nil {
		t.Error("a second host a was made")
	}
}

func testCutAndUnplug(t *testing.T) {
	lab, a, b, pa, _, _ := pair(t)
	lab.Must(pa.Cut())
	if !silent(b, "10.0.0.1") || !silent(a, "10.0.0.2") {
		t.Error("frames pass a cut")
	}
	if !carrier(t, a, "eth0") {
		t.Error("the host saw the cut")
	}
	lab.Must(pa.Heal())
	// A host that has given up on an address asks for it once a second.
	lab.Within(30*time.Second, "frames pass after the cut is healed", func() bool { return reaches(b, "10.0.0.1") })
	lab.Must(pa.Unplug())
	if carrier(t, a, "eth0") {
		t.Error("the host has a carrier though the cable is out")
	}
	if !a.HasAddr(netip.MustParseAddr("10.0.0.1")) {
		t.Error("the host lost its address with the cable")
	}
	lab.Must(pa.Plug())
	lab.Within(30*time.Second, "a is back", func() bool { return carrier(t, a, "eth0") && reaches(b, "10.0.0.1") })
	lab.Must(a.Cut())
	if !silent(b, "10.0.0.1") {
		t.Error("frames pass a host that is cut")
	}
	lab.Must(a.Heal())
	lab.Within(30*time.Second, "frames pass after the host is healed", func() bool { return reaches(b, "10.0.0.1") })
}

func testIsolate(t *testing.T) {
	lab, a, b, pa, pb, sw := pair(t)
	c := lab.Host("client")
	lab.Connect(c, "eth0", sw, "10.0.0.3/24")
	lab.Must(pa.Isolate(true))
	lab.Must(pb.Isolate(true))
	if !silent(a, "10.0.0.2") || !silent(b, "10.0.0.1") {
		t.Error("isolated hosts reach each other")
	}
	for _, addr := range []string{"10.0.0.1", "10.0.0.2"} {
		lab.Within(30*time.Second, "the client reaches "+addr, func() bool { return reaches(c, addr) })
	}
	lab.Must(pa.Isolate(false))
	lab.Must(pb.Isolate(false))
	lab.Within(30*time.Second, "isolation ends", func() bool { return reaches(a, "10.0.0.2") })
}

func testRouting(t *testing.T) {
	lab := labtest.New(t, "nlab")
	client, router, server := lab.Host("client"), lab.Host("router"), lab.Host("server")
	out, in := lab.Switch("outside"), lab.Switch("inside")
	lab.Connect(client, "eth0", out, "10.0.0.2/24", "2001:db8:0::2/64")
	lab.Connect(router, "eth0", out, "10.0.0.1/24", "2001:db8:0::1/64")
	lab.Connect(router, "eth1", in, "10.1.0.1/24", "2001:db8:1::1/64")
	lab.Connect(server, "eth0", in, "10.1.0.2/24", "2001:db8:1::2/64")
	lab.Must(client.DefaultRoute(netip.MustParseAddr("10.0.0.1")))
	lab.Must(client.DefaultRoute(netip.MustParseAddr("2001:db8::1")))
	lab.Must(server.Route(netip.MustParsePrefix("10.0.0.0/24"), netip.MustParseAddr("10.1.0.1")))
	lab.Must(server.DefaultRoute(netip.MustParseAddr("2001:db8:1::1")))
	if !silent(client, "10.1.0.2") {
		t.Error("the router forwards before it is told to")
	}
	lab.Must(router.Forward())
	for _, addr := range []string{"10.1.0.2", "2001:db8:1::2"} {
		lab.Within(30*time.Second, "the client reaches "+addr, func() bool { return reaches(client, addr) })
	}
	if addrs, err := router.Addrs("eth1"); err != nil || !strings.HasPrefix(fmt.Sprint(addrs), "[10.1.0.1/24 2001:db8:1::1/64") {
		t.Errorf("addresses of eth1: %v, %v", addrs, err)
	}
}

func testDo(t *testing.T) {
	lab, a, b, _, _, _ := pair(t)
	l, err := b.Listen("tcp", "10.0.0.2:7")
	lab.Must(err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, c.RemoteAddr())
			c.Close()
		}
	}()
	c, err := a.Dial("tcp", "10.0.0.2:7")
	lab.Must(err)
	buf := make([]byte, 64)
	n, _ := c.Read(buf)
	c.Close()
	if !strings.HasPrefix(string(buf[:n]), "10.0.0.1:") {
		t.Errorf("the server saw %q", buf[:n])
	}
	home := namespaceOf(t)
	for range 200 {
		var inside string
		lab.Must(a.Do(func() error { inside = namespaceOf(t); return nil }))
		if inside == home {
			t.Fatal("Do ran outside")
		}
		if got := namespaceOf(t); got != home {
			t.Fatal("a thread was left inside")
		}
	}
	want := errors.New("mine")
	if err := a.Do(func() error { return want }); err != want {
		t.Errorf("Do returned %v", err)
	}
}

func namespaceOf(t *testing.T) string {
	s, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Error(err)
	}
	return s
}

func testTwoLabs(t *testing.T) {
	one, a, _, _, _, _ := pair(t)
	two, c, _, _, _, _ := pair(t)
	if one.ID() == two.ID() || a.Namespace() == c.Namespace() || a.Dir() == c.Dir() {
		t.Errorf("%s and %s are not apart", a.Namespace(), c.Namespace())
	}
	p := two.Start(c, "sleeper", "sleep", "1000")
	dir, ns := two.Dir(), filepath.Join(netlab.NetnsDir, c.Namespace())
	two.Must(two.Close())
	two.Must(two.Close())
	if p.Running() {
		t.Error("a process outlived its lab")
	}
	for _, path := range []string{dir, ns, filepath.Join(netlab.RegistryDir, two.ID())} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is still there", path)
		}
	}
	if _, err := two.Lab.Host("late"); err == nil {
		t.Error("a closed lab made a host")
	}
	one.Within(30*time.Second, "the other lab works", func() bool { return reaches(a, "10.0.0.2") })
}

func testNames(t *testing.T) {
	for _, name := range []string{"", "Lab", "1lab", "a-b", "averylongname"} {
		if l, err := netlab.New(name); err == nil {
			l.Close()
			t.Errorf("New(%q) took the name", name)
		}
	}
	lab := labtest.New(t, "nlab")
	for _, name := range []string{"", "A", "-a", "a/b", "abcdefghijklmnopqrstu"} {
		if _, err := lab.Lab.Host(name); err == nil {
			t.Errorf("Host(%q) took the name", name)
		}
	}
}

// A lab whose process was killed leaves no process behind, and the next lab removes the rest.
func TestDeadLabIsSwept(t *testing.T) {
	if !labtest.RequireLab(t) {
		return
	}
	if os.Getenv("NETLAB_TEST_ROLE") == "dying" {
		lab, err := netlab.New("ndying")
		if err != nil {
			t.Fatal(err)
		}
		h, _ := lab.Host("a")
		p, err := h.Start("sleeper", "sleep", "1000")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("READY %d %s %s\n", p.Pid(), h.Namespace(), lab.Dir())
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestDeadLabIsSwept$")
	cmd.Env = append(os.Environ(), "NETLAB_TEST_ROLE=dying")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var ns, dir string
	_, err = fmt.Fscanf(out, "READY %d %s %s\n", &pid, &ns, &dir)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if err := netlab.EventuallyWithin(30*time.Second, func() error {
		if b, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); strings.HasPrefix(string(b), "sleep\x00") { // empty for a zombie
			return fmt.Errorf("process %d of the dead lab still runs", pid)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	lab := labtest.New(t, "nlab")
	for _, path := range []string{dir, filepath.Join(netlab.NetnsDir, ns)} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s of a dead lab is still there beside %s", path, lab.ID())
		}
	}
}

func testProcesses(t *testing.T) {
	lab, a, _, _, _, _ := pair(t)
	p := lab.Start(a, "talker", "sh", "-c", `echo "on $NETLAB_HOST"; echo loud >&2; trap 'echo bye; exit 3' TERM; while :; do sleep 0.01; done`)
	lab.Within(30*time.Second, "the log", func() bool { return p.Log() == "on a\nloud\n" })
	if !p.Running() {
		t.Fatal("it does not run")
	}
	if got := strings.TrimSpace(lab.Run(a, "ip", "netns", "identify", strconv.Itoa(p.Pid()))); got != a.Namespace() {
		t.Errorf("the process is in %q", got)
	}
	lab.Must(p.Stop(30 * time.Second))
	if code, err := p.Wait(0); code != 3 || err != nil || !strings.HasSuffix(p.Log(), "bye\n") {
		t.Errorf("exit code %d, %v, log %q", code, err, p.Log())
	}
	lab.Must(p.Signal(syscall.SIGHUP)) // to a dead one
	stubborn := lab.Start(a, "stubborn", "sh", "-c", `trap '' TERM; echo ready; while :; do sleep 0.01; done`)
	lab.Within(30*time.Second, "it ignores SIGTERM", func() bool { return stubborn.Log() == "ready\n" })
	if err := stubborn.Stop(50 * time.Millisecond); err == nil {
		t.Error("Stop of a stubborn process reports no error")
	}
	if code, err := stubborn.Wait(time.Second); code != -1 || err != nil {
		t.Errorf("killed: exit code %d, %v", code, err)
	}
	if _, err := a.Start("ghost", "/nonexistent"); err == nil {
		t.Error("a program that does not exist was started")
	}
	if out, err := a.Run("sh", "-c", "echo out; echo err >&2; exit 4"); out != "out\nerr\n" || err == nil || !strings.Contains(err.Error(), "exit status 4: out") {
		t.Errorf("Run: %q, %v", out, err)
	}
	// What it leaves behind may keep the output open.
	if out, err := a.Run("sh", "-c", "sleep 1000 & echo over"); out != "over\n" || err != nil {
		t.Errorf("Run with a grandchild: %q, %v", out, err)
	}
}

func testProcessGroup(t *testing.T) {
	lab, a, _, _, _, _ := pair(t)
	// A grandchild that has left the group and the session.
	p := lab.Start(a, "parent", "sh", "-c", "setsid sleep 1001 & sleep 1002 & wait")
	lab.Within(30*time.Second, "three processes", func() bool { return len(a.Processes()) == 3 })
	for _, info := range a.Processes() {
		if info.Pid != p.Pid() && info.Parent != p.Pid() {
			t.Errorf("parent of %+v is not %d", info, p.Pid())
		}
	}
	p.Kill()
	if n := len(a.Processes()); n != 2 {
		t.Errorf("%d processes after Kill of the parent, want its 2 children", n)
	}
	q := lab.Start(a, "group", "sh", "-c", "sleep 1003 & sleep 1004 & wait")
	lab.Within(30*time.Second, "three more", func() bool { return len(a.Processes()) == 5 })
	q.KillGroup()
	lab.Within(30*time.Second, "the group is gone", func() bool { return len(a.Processes()) == 2 })
	lab.Must(a.PowerOff())
	if got := a.Processes(); len(got) != 0 {
		t.Errorf("after the power went off there are %v", got)
	}
}

func testCommand(t *testing.T) {
	lab, a, _, _, _, _ := pair(t)
	start := time.Now()
	out, err := a.Command(context.Background(), "ip", "-o", "-4", "addr", "show", "eth0").Output()
	lab.Must(err)
	t.Logf("a command took %v", time.Since(start))
	if !strings.Contains(string(out), "10.0.0.1/24") {
		t.Errorf("output %q", out)
	}
}
