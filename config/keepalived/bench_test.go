package keepalived

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// blocks are documents of n blocks of one kind.
func blocks() map[string]func(i int) string {
	ip := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255) }
	return map[string]func(i int) string{
		"virtual_server": func(i int) string {
			return fmt.Sprintf("virtual_server %s 80 {\n delay_loop 5\n lb_algo wrr\n lb_kind DR\n protocol TCP\n"+
				" real_server 192.0.2.1 80 {\n  weight 10\n  TCP_CHECK {\n   connect_timeout 3\n  }\n }\n}\n", ip(i+1))
		},
		"virtual_server_group": func(i int) string {
			return fmt.Sprintf("virtual_server_group g%d {\n %s 80\n}\nvirtual_server group g%d {\n protocol TCP\n real_server 192.0.2.1 80 {\n  TCP_CHECK {\n  }\n }\n}\n", i, ip(i+1), i)
		},
		"vrrp_instance": func(i int) string {
			return fmt.Sprintf("$DEV%d=e%d\nvrrp_script s%d {\n script /bin/true\n}\nvrrp_instance i%d {\n interface ${DEV%d}\n virtual_router_id %d\n virtual_ipaddress {\n  %s/8\n }\n"+
				" track_script {\n  s%d\n }\n track_interface {\n  x%d\n }\n}\nvrrp_sync_group g%d {\n group {\n  i%d\n }\n}\n", i, i>>7, i, i, i, i%128+1, ip(i+1), i, i, i, i)
		},
		"errors": func(i int) string {
			return fmt.Sprintf("vrrp_instance i%d {\n intrface e0\n virtual_router_id 999\n track_script {\n  t%d\n }\n}\n", i, i)
		},
	}
}

func document100000() []byte {
	var b strings.Builder
	for i, lines := 0, 0; lines < 100_000; i++ {
		s := blocks()["virtual_server"](i)
		lines += strings.Count(s, "\n")
		b.WriteString(s)
	}
	return []byte(b.String())
}

// BenchmarkParse parses a file of 100,000 lines.
func BenchmarkParse(b *testing.B) {
	text := document100000()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse("x.conf", text, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoQuadraticTime parses documents of one kind of block and of sixteen times as many:
// the work of the processor, not the time on a clock, grows as the document does.
func TestNoQuadraticTime(t *testing.T) {
	for name, block := range blocks() {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) time.Duration {
				var b strings.Builder
				for i := range n {
					b.WriteString(block(i))
				}
				text := []byte(b.String())
				least := time.Hour
				for range 2 {
					least = min(least, work(t, func() { Parse("x.conf", text, Options{}) }))
				}
				return least
			}
			const n, times = 250, 16
			small, large := cost(n), cost(times*n)
			if large > 4*times*small {
				t.Errorf("%d blocks take %v of the processor, %d take %v", n, small, times*n, large)
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
