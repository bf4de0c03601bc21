package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// fifoConfig has every form of a virtual server, in keepalived's language.
func fifoConfig(fifo string) string {
	servers := func(port int) string {
		text := ""
		for _, n := range []int{11, 12} {
			text += fmt.Sprintf("  real_server 192.0.2.%d %d {\n    TCP_CHECK {\n      connect_port 80\n      connect_timeout 2\n      retry 1\n      delay_before_retry 1\n    }\n  }\n", n, port)
		}
		return text
	}
	const common = "  delay_loop 1\n  alpha\n  lb_algo rr\n  lb_kind NAT\n"
	return fmt.Sprintf(`global_defs {
  lvs_notify_fifo %[1]s
}
virtual_server_group several {
  %[2]s 8080
  %[2]s-81 8081
  fwmark 5
}
virtual_server_group marks {
  fwmark 6
}
virtual_server %[2]s 80 {
%[3]s  protocol TCP
%[4]s}
virtual_server %[2]s 53 {
%[3]s  protocol UDP
%[5]s}
virtual_server fwmark 7 {
%[3]s%[6]s}
virtual_server group several {
%[3]s  protocol TCP
%[7]s}
virtual_server group marks {
%[3]s%[6]s}
`, fifo, ourVIP, common, servers(80), servers(53), servers(0), servers(8080))
}

// A fifoReader collects the lines of a FIFO.
type fifoReader struct {
	mu   sync.Mutex
	text string
}

func readFIFO(t *testing.T, path string) *fifoReader {
	t.Helper()
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &fifoReader{}
	t.Cleanup(func() { file.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := file.Read(buf)
			r.mu.Lock()
			r.text += string(buf[:n])
			r.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return r
}

// lines returns what has been written, in alphabetical order.
func (r *fifoReader) lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(strings.Lines(r.text))
}

// testFIFO compares what keepalived and director write to the FIFO of the LVS side: names of all forms, as the servers come and go.
func testFIFO(t *testing.T) {
	r := newRivalry(t, 2)
	web := r.webServers(r.servers...)
	var fifos []*fifoReader
	for _, h := range r.directors {
		fifos = append(fifos, readFIFO(t, h.Path("fifo")))
	}
	r.ours = startWithConf(t, r.directors[0], fifoConfig(r.directors[0].Path("fifo")))
	r.startTheirs(fifoConfig(r.directors[1].Path("fifo")))
	// same waits until each has written so many lines, the same ones. Their order is by chance.
	same := func(n int) {
		t.Helper()
		r.Eventually(patience, "both say the same", func() error {
			ours, theirs := fifos[0].lines(), fifos[1].lines()
			if diff := cmp.Diff(theirs, ours); diff != "" || len(ours) != n {
				return fmt.Errorf("%d lines of director, %d of keepalived, want %d (-keepalived +director):\n%s", len(ours), len(theirs), n, diff)
			}
			return nil
		})
	}
	const all = 5 + 2*5 // virtual servers, and real servers
	same(all)
	for _, w := range web {
		w.Close()
	}
	same(2 * all)
	t.Logf("\n%s", strings.Join(fifos[0].lines(), ""))
}
