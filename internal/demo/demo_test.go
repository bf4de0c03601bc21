package demo

import (
	"bytes"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/colour"
	"director/internal/netlab"
)

func TestTimeline(t *testing.T) {
	type line struct {
		view
		mark
		text string
	}
	lines := []line{
		{view{at: 1234 * time.Millisecond, owner: "lb1", pool: "web1:1 web2:3", ok: 12345, failed: 0}, seen, "lb1 is MASTER"},
		{view{at: 0, owner: "-", pool: "-"}, done, "started"},
		{view{at: 100 * time.Second, owner: "both", pool: "-      web2:1", ok: 1, failed: 123456}, kept, "a promise that is told in more words than one line has room for"},
		{view{at: 59999 * time.Millisecond, owner: "lb2", pool: "web1:1 -"}, broken, "NOT KEPT: no request fails"},
	}
	print := func(colour bool) string {
		var b bytes.Buffer
		tl := &timeline{w: &b, colours: colour, width: 80}
		tl.act(3, "an act")
		for _, l := range lines {
			tl.line(l.view, l.mark, l.text)
		}
		return b.String()
	}
	want := `
3  an act
   time  VIP   pool             ok failed
  1.23s  lb1   web1:1 web2:3 12345      0    lb1 is MASTER
  0.00s  -     -                 0      0  > started
100.00s  both  -      web2:1     1 123456  ✓ a promise that is told in more
                                            words than one line has room for
 60.00s  lb2   web1:1 -          0      0  ✗ NOT KEPT: no request fails
`
	plain := print(false)
	if diff := cmp.Diff(want, plain); diff != "" {
		t.Error(diff)
	}
	coloured := print(true)
	if !strings.Contains(coloured, "\x1b["+string(colour.Good)+"m✓ a promise") || !strings.Contains(coloured, colour.Bad.On("123456")) {
		t.Errorf("without colours:\n%q", coloured)
	}
	coloured = regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(coloured, "")
	if diff := cmp.Diff(plain, coloured); diff != "" {
		t.Errorf("colours change more than colours:\n%s", diff)
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one", 10, []string{"one"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 3, []string{"one", "two", "three"}},
		{"far-too-long-a-word a b", 4, []string{"far-too-long-a-word", "a b"}},
		{"ää öö üü", 5, []string{"ää öö", "üü"}},
	} {
		if diff := cmp.Diff(tc.want, wrap(tc.text, tc.width)); diff != "" {
			t.Errorf("wrap(%q, %d): %s", tc.text, tc.width, diff)
		}
	}
}

func TestDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 300 * time.Millisecond: "300 ms", 60937 * time.Microsecond: "60.9 ms", 99960 * time.Microsecond: "100 ms", 40 * time.Microsecond: "0 ms",
	} {
		if got := ms(d); got != want {
			t.Errorf("ms(%v) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[int]time.Duration{highPriority: 682812500, lowPriority: 721875 * time.Microsecond} {
		if got := downTime(&director{priority: d}); got != want { // RFC 9568 section 6.1
			t.Errorf("master-down time at priority %d: %v, want %v", d, got, want)
		}
	}
}

// t0 is when the requests of these tests begin.
var t0 = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }

func request(start, latency int, body string) netlab.Result {
	r := netlab.Result{Start: at(start), Latency: time.Duration(latency) * time.Millisecond, Body: body}
	if body == "" {
		r.Err = errors.New("no answer")
	}
	return r
}

func TestRequests(t *testing.T) {
	all := []netlab.Result{
		request(0, 5, "web1"), request(20, 900, ""), request(40, 900, ""), request(60, 30, "web2"), request(80, 4, "web2"), request(1000, 1, ""),
	}
	got := sum(startedIn(all, at(20), at(81)))
	want := tally{ok: 2, failed: 2, byServer: map[string]int{"web2": 2}, slowest: 30 * time.Millisecond}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(tally{})); diff != "" {
		t.Error(diff)
	}
	if got := startedIn(all, at(81), at(20)); len(got) != 0 {
		t.Errorf("started in a time that ends before it begins: %v", got)
	}
	if got := sum(endedIn(all, at(84), at(920))); got.ok != 2 || got.failed != 0 {
		t.Errorf("ended in: %+v", got)
	}
	if got := sum(endedIn(all, at(84), at(921))); got.failed != 1 {
		t.Errorf("ended in a little later: %+v", got)
	}
	for _, tc := range []struct {
		from, to int
		want     time.Duration
	}{{0, 1000, 79}, {80, 85, 79}, {85, 1000, 6}, {200, 1000, 0}} {
		if got := longestGap(all, at(tc.from), at(tc.to)); got != tc.want*time.Millisecond {
			t.Errorf("longest gap that ends from %d to %d: %v, want %d ms", tc.from, tc.to, got, tc.want)
		}
	}
}

func TestOutside(t *testing.T) {
	// The service is lost at 100 and back at 500.
	for _, tc := range []struct {
		name   string
		r      netlab.Result
		nought bool // nothing excuses its failure
	}{
		{"answered", request(700, 5, "web1"), false},
		{"failed before", request(50, 20, ""), true},
		{"under way when it was lost", request(90, 900, ""), false},
		{"sent meanwhile", request(300, 5, ""), false},
		{"sent at the last moment", request(500, 900, ""), false},
		{"sent afterwards", request(501, 900, ""), true},
	} {
		if got := len(outside([]netlab.Result{tc.r}, at(100), at(500))) == 1; got != tc.nought {
			t.Errorf("%s: held against it: %t, want %t", tc.name, got, tc.nought)
		}
	}
}

func TestReason(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want string
	}{
		{errors.New("plain"), "plain"},
		{&url.Error{Op: "Get", URL: pageURL, Err: os.ErrDeadlineExceeded}, "no answer within 900 ms"},
		{&url.Error{Op: "Get", URL: pageURL, Err: errors.New("connection refused")}, "connection refused"},
	} {
		if got := reason(tc.err); got != tc.want {
			t.Errorf("reason(%v) = %q, want %q", tc.err, got, tc.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	ok := promise{act: 1, text: "no request fails", kept: true, seen: "10 of 10 answered"}
	bad := promise{act: 2, text: "it is out in time", seen: "2 s of at most 1 s"}
	for _, tc := range []struct {
		name    string
		report  report
		verdict string
		err     string // empty: none
		broken  int
	}{
		{"all kept", report{promises: []promise{ok, ok}}, "all 2 promises were kept", "", 0},
		{"one broken", report{promises: []promise{ok, bad}}, "1 of 2 promises was NOT kept",
			"demo: a promise was not kept:\n  act 2: it is out in time: 2 s of at most 1 s", 1},
		{"broken and stopped", report{promises: []promise{bad, bad, ok}, stopped: errors.New("lb1 is gone")}, "2 of 3 promises were NOT kept",
			"demo: 2 promises were not kept:\n  act 2: it is out in time: 2 s of at most 1 s\n  act 2: it is out in time: 2 s of at most 1 s", 2},
		{"stopped", report{promises: []promise{ok}, stopped: errors.New("lb1 is gone")}, "the demo could not go on: lb1 is gone", "demo: lb1 is gone", 0},
		{"nothing shown", report{}, "nothing was shown", "demo: nothing was shown", 0},
	} {
		err := tc.report.err()
		if (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
			t.Errorf("%s: error %v, want %s", tc.name, err, tc.err)
		}
		var b *BrokenError
		if errors.As(err, &b) != (tc.broken > 0) || b != nil && len(b.Promises) != tc.broken {
			t.Errorf("%s: %d broken promises told in %v", tc.name, tc.broken, err)
		}
		if got := tc.report.verdict(); got != tc.verdict {
			t.Errorf("%s: verdict %q, want %q", tc.name, got, tc.verdict)
		}
	}
}

func TestSummary(t *testing.T) {
	r := report{parts: []part{
		{"start", 150, 0, 25400 * time.Microsecond, 0, ""},
		{"the active director's machine is cut off", 70, 23, 722 * time.Millisecond, 8 * time.Millisecond, "switch 722.3 ms"},
	}}
	want := `
act                                          answered  failed  longest gap  stood still
1  start                                          150       0         25ms           0s
2  the active director's machine is cut off        70      23        722ms          8ms  switch 722.3 ms
total                                             220      23`
	if diff := cmp.Diff(want, "\n"+strings.Join(r.lines(), "\n")); diff != "" {
		t.Error(diff)
	}
}

// TestConfigurations are valid, and give no reason for a warning.
func TestConfigurations(t *testing.T) {
	for _, name := range []string{"lb1", "lb2"} {
		cfg, warnings, err := config.ParseWithWarnings("director.toml", []byte(configuration(name, highPriority, 1, 3)))
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v %v", name, err, warnings)
		}
		if cfg.Global.RouterID != name || cfg.VirtualServers[0].RealServers[1].Weight != 3 || cfg.Instances[0].AdvertInterval.D() != advertInterval {
			t.Errorf("%s: %+v", name, cfg)
		}
	}
}

func TestVerdictCrossesTheBorder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verdict")
	if err := judged(path); !errors.Is(err, ErrInterrupted) {
		t.Errorf("no verdict: %v", err)
	}
	t.Setenv(envVerdict, path)
	for _, ok := range []bool{true, false} {
		if err := leaveVerdict(ok); err != nil {
			t.Fatal(err)
		}
		err := judged(path)
		var inside *InsideError
		if ok && err != nil || !ok && (!errors.As(err, &inside) || inside.Status != 1) {
			t.Errorf("verdict %t: %v", ok, err)
		}
	}
}
