package logging

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/internal/netlab/labtest"
)

// counted returns a log whose repeats are counted, what it has written, and its end.
func counted() (log *slog.Logger, text *labtest.Buffer, closeLog func()) {
	text = &labtest.Buffer{}
	h := newRepeatHandler(slog.NewTextHandler(text, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	return slog.New(h), text, h.all.close
}

func TestRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, text, closeLog := counted()
		begun := time.Now()
		var want []string
		check := func(lines ...string) {
			t.Helper()
			want = append(want, lines...)
			if d := cmp.Diff(strings.Join(want, "\n")+"\n", text.String()); d != "" {
				t.Fatalf("after %v: %s", time.Since(begun), d)
			}
		}
		web := log.With("service", "web")
		fail := func() { web.Info("check failed", "reason", "refused") }
		fail()
		log.Info("check failed", "reason", "refused") // of something else
		web.Warn("check failed", "reason", "refused")
		check("level=INFO msg=\"check failed\" service=web reason=refused", "level=INFO msg=\"check failed\" reason=refused",
			"level=WARN msg=\"check failed\" service=web reason=refused")
		for range 4 {
			time.Sleep(time.Second)
			fail()
			synctest.Wait()
		}
		check()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		check("level=INFO msg=\"check failed\" service=web reason=refused repeated=4 within=3s")
		for range 10 { // the next window is twice as long
			fail()
			time.Sleep(time.Second)
			synctest.Wait()
		}
		check("level=INFO msg=\"check failed\" service=web reason=refused repeated=9 within=8s")
		time.Sleep(21 * time.Second)
		synctest.Wait()
		check("level=INFO msg=\"check failed\" service=web reason=refused repeated=1 within=0s")
		time.Sleep(time.Hour) // it has ended: the next is the first again
		synctest.Wait()
		fail()
		check("level=INFO msg=\"check failed\" service=web reason=refused")
		fail()
		fail()
		closeLog()
		check("level=INFO msg=\"check failed\" service=web reason=refused repeated=2 within=0s")
		fail()
		fail()
		check("level=INFO msg=\"check failed\" service=web reason=refused", "level=INFO msg=\"check failed\" service=web reason=refused")
	})
}

// TestDistinctLines: lines that differ are written, and however many they are, little is
// remembered.
func TestDistinctLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, text, closeLog := counted()
		for i := range 10 * maxRepeats {
			log.Info("instance state", "seq", i)
		}
		if n := strings.Count(text.String(), "\n"); n != 10*maxRepeats {
			t.Errorf("%d lines", n)
		}
		remembered := func() int {
			all := log.Handler().(*repeatHandler).all
			all.mu.Lock()
			defer all.mu.Unlock()
			return len(all.lines)
		}
		if n := remembered(); n > maxRepeats {
			t.Errorf("%d lines are remembered", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := remembered(); n != 0 {
			t.Errorf("%d lines are remembered after a minute", n)
		}
		closeLog()
	})
}

func TestOverride(t *testing.T) {
	var s Settings
	var out bytes.Buffer
	log := slog.New(newHandler(&out, &s, false))
	step := func(want string, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		out.Reset()
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.Log(t.Context(), l, "x")
		}
		if got := fmt.Sprint(strings.Count(out.String(), "\n")); got != want {
			t.Errorf("%s lines, want %s", got, want)
		}
	}
	step("3", nil)
	step("4", s.Override("debug"))
	step("4", s.Set("error", "")) // a reload does not end it
	step("1", s.Override(""))
	step("2", s.Override("WARN"))
	step("2", s.Set("", "json"))
	if err := s.Override("info+2"); err == nil {
		t.Error("info+2 was taken")
	}
}
