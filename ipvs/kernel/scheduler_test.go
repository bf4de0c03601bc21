package kernel_test

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"director/ipvs"
)

// weightless asks the real kernel what each scheduler does with new clients while one of
// three servers has weight 0: some keep its places, and refuse whom these lead there.
func weightless(t *testing.T) {
	b := open(t)
	// Clients, destinations and servers are all this host.
	if out, err := exec.Command("ip", "route", "add", "local", "10.0.0.0/8", "dev", "lo").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var served [3]atomic.Int64
	servers := make([]ipvs.DestKey, len(served))
	for i := range servers {
		servers[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 8, 0, byte(i + 1)}), 80)
		l, err := net.Listen("tcp4", servers[i].String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				served[i].Add(1)
				c.Close()
			}
		}()
	}
	const clients = 60
	round, connected := byte(0), int64(0)
	// refused counts the clients that nobody serves: each comes from an address of its
	// own and goes to one of its own.
	refused := func() (n int) {
		round++
		for i := range clients {
			d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(10, 1+round, byte(i>>8), byte(1+i))},
				Control: func(_, _ string, c syscall.RawConn) error {
					return c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, 5) })
				}}
			c, err := d.Dial("tcp4", fmt.Sprintf("10.7.%d.%d:80", i>>8, i&255))
			if err != nil {
				n++
				continue
			}
			connected++
			c.Close()
		}
		eventually(t, "the servers to count", func() bool { return served[0].Load()+served[1].Load()+served[2].Load() == connected })
		return n
	}
	key := ipvs.MarkService(5, ipvs.IPv4)
	for _, name := range b.Schedulers {
		if name == "none" {
			continue
		}
		for flags := range map[ipvs.ServiceFlags]bool{0: true, ipvs.FlagSched1: true} {
			s := ipvs.Service{Scheduler: name, Flags: flags}
			do(t, b, ipvs.Op{Kind: ipvs.AddService, Key: key, Service: s})
			for _, server := range servers {
				do(t, b, ipvs.Op{Kind: ipvs.AddDest, Key: key, DestKey: netip.AddrPortFrom(server.Addr(), 0), Dest: one})
			}
			do(t, b, ipvs.Op{Kind: ipvs.EditDest, Key: key, DestKey: netip.AddrPortFrom(servers[1].Addr(), 0), Dest: ipvs.Destination{}})
			before := served[1].Load()
			n := refused()
			t.Logf("%s %v: %d of %d refused", name, s.FlagNames(), n, clients)
			if served[1].Load() != before {
				t.Errorf("%s %v: the server with weight 0 got new clients", name, s.FlagNames())
			}
			// config's HoldsPlaces says the same.
			if holds := name == "dh" || flags == 0 && (name == "sh" || name == "mh"); holds != (n > 0) {
				t.Errorf("%s %v: %d of %d clients were refused", name, s.FlagNames(), n, clients)
			}
			do(t, b, ipvs.Op{Kind: ipvs.DeleteService, Key: key})
		}
	}
}
