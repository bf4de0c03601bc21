package top

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// golden compares a screen with the one that was looked at and found good.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s: %s", name, d)
	}
}

// drive shows a farm and presses keys; the list is asked for after each, as the loop does.
func drive(f *farm, s Settings, width, height int, keys string) *model {
	if s.Interval == 0 {
		s.Interval = 2 * time.Second
	}
	m := newModel(s, width, height)
	look := func() { m.look(f.Sample(m.want())) }
	look()
	look()
	for b := []byte(keys); len(b) > 0; look() {
		key, n := nextKey(b)
		if n == 0 {
			key, n = keyEscape, len(b)
		}
		m.press(key)
		b = b[n:]
	}
	return m
}

// TestScreens are screens as people see them.
func TestScreens(t *testing.T) {
	for name, m := range map[string]*model{
		"calm":      drive(&farm{services: 8, servers: 3}, Settings{}, 80, 24, ""),
		"folded":    drive(&farm{services: 8, servers: 3}, Settings{Order: ByName}, 80, 24, "\r\x1b[B\x1b[B"),
		"why":       drive(&farm{services: 6, servers: 2}, Settings{Order: ByState, Expand: true}, 80, 14, "\x1b[B"),
		"wide":      drive(&farm{services: 6, servers: 2}, Settings{Order: ByState, Expand: true, Colour: true}, 150, 30, "\x1b[B"),
		"filter":    drive(&farm{services: 30, servers: 3}, Settings{}, 80, 24, "/web-000\rrsss"),
		"typing":    drive(&farm{services: 30, servers: 3}, Settings{}, 80, 24, "/down"),
		"lost":      drive(&farm{services: 3, servers: 3, lost: true}, Settings{}, 80, 24, "p"),
		"no_kernel": drive(&farm{services: 3, servers: 3, kernel: errors.New("ipvs: open: permission denied")}, Settings{Expand: true}, 80, 24, ""),
		"help":      drive(&farm{services: 3, servers: 3}, Settings{}, 80, 24, "h"),
		"tiny":      drive(&farm{services: 30, servers: 3}, Settings{}, 40, 8, "\x1b[6~"),
		"large":     drive(&farm{services: 2000, servers: 20}, Settings{Order: ByName, Expand: true}, 100, 30, "\x1b[6~\x1b[6~"),
	} {
		golden(t, name, strings.Join(m.lines(), "\n")+"\n")
	}
}

// TestReadsWhatIsSeen: of a large farm only the real servers on the screen are asked for,
// unless the order needs those of all.
func TestReadsWhatIsSeen(t *testing.T) {
	f := &farm{services: 2000, servers: 20}
	m := drive(f, Settings{Order: ByName}, 80, 24, "\x1b[6~\r")
	w := m.want()
	if w.All || len(w.Read) == 0 || len(w.Read) > m.page() || !cmp.Equal(w.Open, []string{"web-0014"}) {
		t.Errorf("wanted %+v", w)
	}
	for _, n := range w.Read {
		if i := slices.IndexFunc(m.rows, func(r service) bool { return r.name == n }); !m.rows[i].counted {
			t.Errorf("%s is on the screen and not counted", n)
		}
	}
	if m.rows[1999].counted {
		t.Error("the last service is counted, and not on the screen")
	}
	if !drive(f, Settings{Order: ByActive}, 80, 24, "").want().All {
		t.Error("sorted by active connections without knowing those of all")
	}
	if !drive(&farm{services: 10, servers: 3}, Settings{}, 80, 24, "").want().All {
		t.Error("of a small farm not all is read")
	}
}

// TestKeys: what each key does.
func TestKeys(t *testing.T) {
	f := &farm{services: 30, servers: 3}
	under := func(m *model) string { a, b := m.under(); return a + " " + b }
	for _, tc := range []struct {
		keys, want string
		get        func(*model) string
	}{
		{"jjk", "web-0000 ", under},
		{"\x1b[B\x1bOB", "web-0001 ", under},
		{"G", "web-0029 ", under},
		{"Gg", "fwmark 77 ", under},
		{"Gkk\x1b[H\x1b[F", "web-0029 ", under},
		{"j\rj", "web-0000 10.0.0.11:80", under},
		{"j\rjj\x1b[D", "web-0000 ", under},
		{"ejjj", "web-0000 10.0.0.12:80", under},
		{"ejjjc", "web-0000 ", under},
		{"jjjs", "web-0002 ", under}, // it stays with what it is on
		{"s", "connections", func(m *model) string { return m.Order.String() }},
		{"S", "state", func(m *model) string { return m.Order.String() }},
		{"r", "web-0029 ", under},
		{"+", "3s", func(m *model) string { return m.Interval.String() }},
		{"--", "500ms", func(m *model) string { return m.Interval.String() }},
		{"------------", "100ms", func(m *model) string { return m.Interval.String() }},
		{"/web-0007\r", "1 web-0007", func(m *model) string { return fmt.Sprint(len(m.rows), " ", m.Filter) }},
		{"/web-0007\x15x\x7fweb-0008\r", "1 web-0008", func(m *model) string { return fmt.Sprint(len(m.rows), " ", m.Filter) }},
		{"/192.0.2.3:\r", "1", func(m *model) string { return fmt.Sprint(len(m.rows)) }},
		{"/web-0007\r\x1b", "31", func(m *model) string { return fmt.Sprint(len(m.rows)) }},
		{"/q", "false q", func(m *model) string { return fmt.Sprint(m.done, " ", m.Filter) }},
		{"/WEB down\r", "1 web-0005", func(m *model) string { return fmt.Sprint(len(m.rows), " ", m.rows[0].name) }},
		{" ", "true", func(m *model) string { return fmt.Sprint(m.paused) }},
		{"hq", "false", func(m *model) string { return fmt.Sprint(m.done, m.help)[:5] }},
		{"q", "true", func(m *model) string { return fmt.Sprint(m.done) }},
		{"/\x03", "true", func(m *model) string { return fmt.Sprint(m.done) }},
	} {
		if got := tc.get(drive(f, Settings{Order: ByName}, 80, 24, tc.keys)); got != tc.want {
			t.Errorf("%q: got %s, want %s", tc.keys, got, tc.want)
		}
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 9999: "9999", 10_000: "10.0k", 99_949: "99.9k", 99_950: "100k", 999_499: "999k", 999_500: "1.0M",
		123_456_789: "123M", 1<<64 - 1: "18.4E",
	} {
		if got := short(n); got != want || len(got) > 5 {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}

// Whatever keys come, whatever the size is: the screen has its size, nothing on it steers
// the terminal but styles, and the cursor is on the list.
func TestAnyKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &farm{services: rapid.IntRange(0, 40).Draw(t, "services"), servers: rapid.IntRange(0, 5).Draw(t, "servers")}
		width, height := rapid.IntRange(1, 200).Draw(t, "width"), rapid.IntRange(1, 60).Draw(t, "height")
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"j", "k", "g", "G", "\r", "e", "c", "s", "r", "/", "w", "\x7f", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "h", " "}), 0, 30).Draw(t, "keys")
		m := drive(f, Settings{Expand: rapid.Bool().Draw(t, "expand"), Order: Order(rapid.IntRange(0, int(orders)-1).Draw(t, "order"))}, width, height, strings.Join(keys, ""))
		lines := m.lines()
		if len(lines) > height {
			t.Fatalf("%d lines on a screen of %d", len(lines), height)
		}
		for _, l := range lines {
			text := strings.NewReplacer("\x1b[0m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[7m", "").Replace(l)
			if strings.ContainsRune(text, '\x1b') || utf8.RuneCountInString(text) > width {
				t.Fatalf("%d columns: %q", width, l)
			}
		}
		if m.cursor < 0 || m.cursor >= max(1, len(m.shown)) || m.cursor < m.top || m.cursor >= m.top+m.page() {
			t.Fatalf("the cursor is on %d of %d, the screen begins at %d", m.cursor, len(m.shown), m.top)
		}
	})
}

// FuzzKeys: the decoder of keys comes to an end with whatever a terminal sends.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("q\x1b[A\x1bOB\x1b[5~\xc3\xa4\x1b\x1b["))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			_, n := nextKey(b)
			if n == 0 {
				return
			}
			if n < 0 || n > len(b) {
				t.Fatalf("%d of %d bytes", n, len(b))
			}
			b = b[n:]
		}
	})
}
