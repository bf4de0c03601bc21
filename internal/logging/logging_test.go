package logging

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSettings(t *testing.T) {
	var s Settings
	var out bytes.Buffer
	log := slog.New(newHandler(&out, &s, false)).With("instance", "web")
	log.Debug("hidden")
	log.Info("shown")
	if err := s.Set("debug", "json"); err != nil {
		t.Fatal(err)
	}
	log.Debug("shown too", "n", 1)
	log.WithGroup("g").Info("grouped", "time", "kept")
	if err := s.Set("error", ""); err != nil {
		t.Fatal(err)
	}
	log.Warn("hidden")
	if err := s.Set("", "text"); err != nil {
		t.Fatal(err)
	}
	log.Error("last")
	want := strings.Join([]string{
		`level=INFO msg=shown instance=web`,
		`{"level":"DEBUG","msg":"shown too","instance":"web","n":1}`,
		`{"level":"INFO","msg":"grouped","instance":"web","g":{"time":"kept"}}`,
		`level=ERROR msg=last instance=web`, "",
	}, "\n")
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	for _, bad := range [][2]string{{"loud", ""}, {"", "xml"}} {
		if err := s.Set(bad[0], bad[1]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}

func TestTimestamped(t *testing.T) {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(os.Stderr.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]bool{
		"":                                   true,
		"8:1":                                true,
		fmt.Sprintf("%d:%d", st.Dev, st.Ino): false,
	} {
		if got := timestamped(os.Stderr, stream); got != want {
			t.Errorf("%q: got %v, want %v", stream, got, want)
		}
	}
	var s Settings
	var out bytes.Buffer
	slog.New(newHandler(&out, &s, true)).Info("x")
	if !strings.HasPrefix(out.String(), "time=") {
		t.Errorf("no time in %q", out.String())
	}
}

// gate is a writer that blocks until it is opened.
type gate struct {
	open chan struct{}
	mu   sync.Mutex
	text bytes.Buffer
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(b)
}

func TestAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		a := newAsync(g)
		a.Write([]byte("first\n"))
		synctest.Wait() // the goroutine hangs in the gate with it
		for i := range maxQueued + 5 {
			fmt.Fprintf(a, "line %d\n", i)
		}
		start := time.Now()
		a.Close(time.Second)
		if d := time.Since(start); d != time.Second {
			t.Errorf("Close waited %v for a blocked writer, want 1s", d)
		}
		a.Write([]byte("after the end\n"))
		close(g.open)
		a.Close(time.Second)
		synctest.Wait()
		lines := strings.Split(strings.TrimSpace(g.text.String()), "\n")
		if len(lines) != 1+maxQueued+1 || lines[0] != "first" || lines[maxQueued] != fmt.Sprintf("line %d", maxQueued-1) {
			t.Errorf("%d lines, the last but one %q", len(lines), lines[len(lines)-2])
		}
		if want := `level=WARN msg="log lines dropped because the log could not be written" count=6`; lines[len(lines)-1] != want {
			t.Errorf("got %q, want %q", lines[len(lines)-1], want)
		}
	})
}
