package test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"director/internal/netlab"
)

// A benchFault is a server that can be broken in one way.
type benchFault struct {
	name, check  string
	port         uint16
	hurt, heal   func()
	down, up     *contest
	gone, isBack time.Time // in this cycle
}

// TestBenchDetection measures how long it takes from a fault to the removal of the server, and from its end to the return, with equal
// settings: a check every second, a time limit of a second, and one result is enough.
func TestBenchDetection(t *testing.T) {
	if !benching() {
		return
	}
	b := newCheckBench(t)
	faults := b.faults()
	for _, who := range []string{"director", "keepalived"} {
		p := b.launch(who, detectionConfig(who, faults))
		watch := &logWatch{path: p.LogPath(), faults: faults}
		time.Sleep(3 * time.Second)
		watch.read()
		for range 4 * benchRounds(3) {
			time.Sleep(rand.N(time.Second)) // of the checks' phase
			took := watch.await(t, func(f *benchFault) { f.hurt() }, func(f *benchFault) time.Time { return f.gone })
			for i, f := range faults {
				f.down.add(who, took[i])
			}
			time.Sleep(rand.N(time.Second))
			took = watch.await(t, func(f *benchFault) { f.heal() }, func(f *benchFault) time.Time { return f.isBack })
			for i, f := range faults {
				f.up.add(who, took[i])
			}
		}
		p.KillGroup()
	}
	var list []*contest
	for _, f := range faults {
		list = append(list, f.down, f.up)
	}
	tell(t, list...)
}

// faults makes a server for each fault.
func (b *checkBench) faults() []*benchFault {
	b.t.Helper()
	var list []*benchFault
	add := func(name, check string, hurt, heal func(f *benchFault)) {
		f := &benchFault{name: name, check: check, port: uint16(9001 + len(list)),
			down: &contest{name: name + ": fault to removal", unit: "ms"}, up: &contest{name: name + ": end of the fault to return", unit: "ms"}}
		f.hurt, f.heal = func() { hurt(f) }, func() { heal(f) }
		list = append(list, f)
	}
	servers := map[uint16]*http.Server{}
	serve := func(f *benchFault, status *atomic.Int64) {
		l, err := b.h.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", f.port))
		b.Must(err)
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })}
		servers[f.port] = s
		go func() { _ = s.Serve(l) }()
	}
	var well, failing atomic.Int64
	well.Store(200)
	failing.Store(200)
	closes := func(f *benchFault) { _ = servers[f.port].Close() }
	opens := func(f *benchFault) { serve(f, &well) }
	add("TCP, connection refused", "tcp", closes, opens)
	add("TCP, black hole", "tcp", func(f *benchFault) {
		_, err := b.h.Run("nft", fmt.Sprintf("add table inet hole; add chain inet hole in { type filter hook input priority 0; }; add rule inet hole in tcp dport %d drop", f.port))
		b.Must(err)
	}, func(*benchFault) {
		_, err := b.h.Run("nft", "delete table inet hole")
		b.Must(err)
	})
	add("HTTP, connection refused", "http", closes, opens)
	add("HTTP, status 500", "http", func(*benchFault) { failing.Store(500) }, func(*benchFault) { failing.Store(200) })
	for i, f := range list {
		serve(f, [...]*atomic.Int64{&well, &well, &well, &failing}[i])
	}
	b.t.Cleanup(func() {
		for _, s := range servers {
			_ = s.Close()
		}
	})
	return list
}

func detectionConfig(who string, faults []*benchFault) string {
	var w strings.Builder
	if who == "keepalived" {
		w.WriteString("global_defs {\n router_id bench\n}\n")
	}
	for i, f := range faults {
		if who == "director" {
			fmt.Fprintf(&w, "[virtual_server.s%d]\naddress = \"198.18.0.%d:80\"\nscheduler = \"rr\"\nforwarding = \"nat\"\nreal_server = [\"127.0.0.1:%d\"]\n", i, i+1, f.port)
			fmt.Fprintf(&w, "[[virtual_server.s%d.check]]\ntype = %q\ninterval = \"1s\"\ntimeout = \"1s\"\nrise = 1\nfall = 1\n", i, f.check)
			continue
		}
		fmt.Fprintf(&w, "virtual_server 198.18.0.%d 80 {\n delay_loop 1\n lvs_sched rr\n lvs_method NAT\n protocol TCP\n real_server 127.0.0.1 %d {\n weight 1\n", i+1, f.port)
		if f.check == "http" {
			w.WriteString(" HTTP_GET {\n url {\n path /\n status_code 200\n }\n")
		} else {
			w.WriteString(" TCP_CHECK {\n")
		}
		w.WriteString(" connect_timeout 1\n retry 0\n delay_before_retry 1\n }\n }\n}\n")
	}
	return w.String()
}

// logWatch finds in a program's log when it took servers out and in: there is no table to look at.
type logWatch struct {
	path   string
	faults []*benchFault
	offset int64
}

// read takes what was written since the last time.
func (l *logWatch) read() {
	f, err := os.Open(l.path)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == l.offset {
		return
	}
	text := make([]byte, info.Size()-l.offset)
	n, _ := f.ReadAt(text, l.offset)
	end := strings.LastIndexByte(string(text[:n]), '\n') + 1
	l.offset += int64(end)
	now := time.Now()
	for line := range strings.Lines(string(text[:end])) {
		for _, f := range l.faults {
			ours := strings.Contains(line, `msg="server state"`) && strings.Contains(line, fmt.Sprintf("127.0.0.1:%d ", f.port))
			theirs := strings.Contains(line, fmt.Sprintf("]:tcp:%d ", f.port))
			switch {
			case ours && strings.Contains(line, " to=down "), theirs && strings.Contains(line, "Removing service"):
				f.gone = now
			case ours && strings.Contains(line, " to=up "), theirs && strings.Contains(line, "Adding service"):
				f.isBack = now
			}
		}
	}
}

// await does something to each server, one after the other, and waits until the program has noticed. It returns how long that
// took, in milliseconds.
func (l *logWatch) await(t testing.TB, do func(*benchFault), noticed func(*benchFault) time.Time) []float64 {
	t.Helper()
	began := make([]time.Time, len(l.faults))
	for i, f := range l.faults {
		do(f)
		began[i] = time.Now()
	}
	took := make([]float64, len(l.faults))
	if err := netlab.EventuallyWithin(30*time.Second, func() error {
		l.read()
		for i, f := range l.faults {
			at := noticed(f)
			if at.Before(began[i]) {
				return fmt.Errorf("%s: not noticed", f.name)
			}
			took[i] = ms(at.Sub(began[i]))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return took
}
