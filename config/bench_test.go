package config

import (
	"bytes"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// farm is a document with n real servers behind n/100 services.
func farm(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		if i%100 == 0 {
			fmt.Fprintf(&b, "[virtual_server.s%d]\naddress = \"198.51.%d.%d:80\"\nforwarding = \"dr\"\ncheck = { type = \"tcp\" }\n",
				i/100, i/100/256, i/100%256)
		}
		fmt.Fprintf(&b, "[[virtual_server.s%d.real_server]]\naddress = \"10.%d.%d.%d:80\"\nweight = 10\n",
			i/100, i>>16, i>>8&255, i&255)
	}
	return b.Bytes()
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{100, 1000, 10000, 33000} { // the last has 100,000 lines
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			text := farm(n)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("farm.toml", text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestNoQuadraticTime parses documents of one kind of table and of sixteen times as many:
// the work of the processor, not the time on a clock, grows as the document does. So
// it does where each line is wrong.
func TestNoQuadraticTime(t *testing.T) {
	ip := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }
	instance := func(i int) string {
		return fmt.Sprintf("[vrrp_instance.i%d]\ninterface = \"e%d\"\nvirtual_router_id = %d\nvirtual_ipaddress = [\"%s/8\"]\n", i, i>>7, i%128+1, ip(i+1))
	}
	for name, table := range map[string]func(i int) string{
		"vrrp_instance": instance,
		"vrrp_instance with all": func(i int) string {
			return instance(i) + fmt.Sprintf("track_interface = [\"x%d\"]\nunicast_peer = [\"192.0.2.1\"]\nheartbeat = [{ interface = \"h%d\" }]\nuse_vmac = true\n"+
				"virtual_routes = [{ to = \"%s\", via = \"192.0.2.1\" }]\n[track_interface.x%d]\nweight = 1\n[vrrp_sync_group.g%d]\ngroup = [\"i%d\"]\n", i, i>>7, ip(i), i, i, i)
		},
		"bfd": func(i int) string { return fmt.Sprintf("[bfd.b%d]\nneighbor_ip = \"%s\"\n", i, ip(i+1)) },
		"bfd, one router": func(i int) string {
			return fmt.Sprintf("[bfd.b%d]\nneighbor_ip = \"192.0.2.1\"\ninterface = \"e%d\"\n", i, i)
		},
		"trackers": func(i int) string {
			return fmt.Sprintf("[vrrp_script.s%d]\nscript = \"/bin/true\"\n[track_file.f%d]\nfile = \"/run/%d\"\n[track_process.p%d]\nprocess = \"x\"\n[track_target.t%d]\naddress = \"192.0.2.1\"\n", i, i, i, i, i)
		},
		"static": func(i int) string {
			return fmt.Sprintf("[[static_address]]\naddress = \"%s\"\ndevice = \"e\"\n[[static_route]]\nto = \"%s\"\nvia = \"192.0.2.1\"\n[[static_rule]]\nfrom = \"%s\"\ntable = 5\npriority = %d\n", ip(i+1), ip(i), ip(i), i+1)
		},
		"virtual_server": func(i int) string {
			return fmt.Sprintf("[virtual_server.v%d]\naddress = \"%s:80\"\ncheck = { type = \"tcp\" }\nreal_server = [\"192.0.2.1:80\"]\nsorry_server = \"192.0.2.2:80\"\n", i, ip(i+1))
		},
		"virtual_server_group": func(i int) string {
			return fmt.Sprintf("[virtual_server_group.g%d]\nmembers = [\"%s:80\"]\n[virtual_server.v%d]\ngroup = \"g%d\"\nreal_server = [\"192.0.2.1:80\"]\n", i, ip(i+1), i, i)
		},
		"real_server": func(i int) string {
			return fmt.Sprintf("[[virtual_server.v.real_server]]\naddress = \"%s:80\"\n[[virtual_server.v.real_server.check]]\ntype = \"tcp\"\n", ip(i+1))
		},
		"active_with": func(i int) string {
			return fmt.Sprintf("[vrrp_instance.i%d]\ninterface = \"e%d\"\nvirtual_router_id = 1\nvirtual_ipaddress = \"%s\"\n[virtual_server.v%d]\naddress = \"%s:80\"\nactive_with = \"i%d\"\ncheck = { type = \"tcp\" }\nreal_server = [\"192.0.2.1:80\"]\n", i, i, ip(i), i, ip(i+1), i)
		},
		"bfd check": func(i int) string {
			return fmt.Sprintf("[bfd.b%d]\nneighbor_ip = \"%s\"\n[virtual_server.v%d]\naddress = \"%s:80\"\ncheck = { type = \"bfd\", bfd = \"b%d\" }\nreal_server = [\"192.0.2.1:80\"]\n", i, ip(i+1), i, ip(i+1), i)
		},
		"bfd_trigger and gate": func(i int) string {
			return fmt.Sprintf("[bfd.b%d]\nneighbor_ip = \"%s\"\n[vrrp_instance.i%d]\ninterface = \"e%d\"\nvirtual_router_id = 1\nvirtual_ipaddress = \"%s\"\nbfd_trigger = [\"b%d\"]\npromotion_gate = { type = \"pool\", virtual_server = [\"v%d\"] }\n[virtual_server.v%d]\naddress = \"%s:80\"\ncheck = { type = \"tcp\" }\nreal_server = [\"192.0.2.1:80\"]\n", i, ip(i+1), i, i, ip(i), i, i, i, ip(i+1))
		},
		"errors": func(i int) string {
			return fmt.Sprintf("[vrrp_instance.i%d]\nintrface = \"e\"\nvirtual_router_id = 999\ntrack_script = [\"s%d\"]\n[vrrp_script.t%d]\n", i, i, i)
		},
		"one list": func(i int) string {
			if i == 0 {
				return "[vrrp_sync_group.g]\ngroup = []\n[vrrp_sync_group.h]\ngroup = [\n"
			}
			return fmt.Sprintf("\"i%d\",\n", i)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) time.Duration {
				var b strings.Builder
				for i := range n {
					b.WriteString(table(i))
				}
				if strings.Contains(b.String(), "group = [\n") {
					b.WriteString("]\n")
				}
				text := []byte(b.String())
				least := time.Hour
				for range 2 {
					least = min(least, work(t, func() { Parse("x.toml", text) }))
				}
				return least
			}
			const n, times = 250, 16
			small, large := cost(n), cost(times*n)
			for tries := 0; large > 4*times*small && tries < 10; tries++ { // other work in the processor's caches
				large = min(large, cost(times*n))
			}
			if large > 4*times*small {
				t.Errorf("%d tables take %v of the processor, %d take %v", n, small, times*n, large)
			}
		})
	}
}

// work returns how long the processor worked on f, the collection of garbage apart.
func work(t testing.TB, f func()) time.Duration {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	spent := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	f()
	return max(spent()-before, time.Millisecond)
}
