package webd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"director/internal/watchdog"
)

// browser is a headless Chromium with one tab. It counts what the page must not do.
type browser struct {
	t       *testing.T
	ctx     context.Context
	address string // that the page may talk to

	mu     sync.Mutex
	faults []string
}

// openBrowser starts Chromium for the pages of an address.
func openBrowser(t *testing.T, address string) *browser {
	t.Helper()
	allocator, cancel := chromedp.NewExecAllocator(t.Context(),
		chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoSandbox, // the tests run as root
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.UserDataDir(t.TempDir()),
	)
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx, address: address}
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatal(err)
	}
	b.do(command(network.Enable, network.EnableParams{}), command(cdplog.Enable, cdp.Empty{}))
	return b
}

// command is a command of the protocol as an action.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// watch notes errors, and requests to anybody else.
func (b *browser) watch(event any) {
	fault := ""
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			fault = fmt.Sprintf("console: %s", e.Args[0].Value)
		}
	case *runtime.EventExceptionThrown:
		fault = "exception: " + e.ExceptionDetails.Text
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError || e.Entry.Level == cdplog.EntryLevelWarning {
			fault = fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(e.Request.URL); err != nil || u.Host != b.address {
			fault = "request to " + e.Request.URL
		}
	}
	if fault != "" {
		b.mu.Lock()
		b.faults = append(b.faults, fault)
		b.mu.Unlock()
	}
}

// do runs actions within a time that is enough on a busy machine.
func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval evaluates an expression.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// shows waits until the page has a text, and returns how long that took.
func (b *browser) shows(text string, limit time.Duration) time.Duration {
	b.t.Helper()
	began := time.Now()
	found := ""
	for time.Since(began) < limit {
		found = eval[string](b, "document.body.innerText")
		if strings.Contains(found, text) {
			return time.Since(began)
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("the page does not show %q within %v:\n%s", text, limit, found)
	return 0
}

// like makes the screen that of a device, with a scheme of colours.
func (b *browser) like(width, height int64, scheme string) {
	b.t.Helper()
	b.do(command(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600}),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

// clean checks that nothing went wrong that only the browser sees.
func (b *browser) clean() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.faults {
		b.t.Error(f)
	}
}

// axeFault is a fault of accessibility.
type axeFault struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// axeResult is what axe-core says of a page.
type axeResult struct {
	Violations []axeFault `json:"violations"`
	Passes     int        `json:"passes"`
}

// accessible has axe-core judge the page.
func (b *browser) accessible(what string) {
	b.t.Helper()
	text, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		b.t.Fatal(err)
	}
	eval[int](b, string(text)+";0")
	result := eval[axeResult](b, `axe.run(document, {resultTypes: ["violations"]}).then((r) => ({violations: r.violations, passes: r.passes.length}))`)
	if result.Passes < 10 {
		b.t.Errorf("%s: only %d rules were tested", what, result.Passes)
	}
	for _, v := range result.Violations {
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Errorf("%s: %s %s: %s: %s\n%s", what, v.Impact, v.ID, v.Help, v.Nodes[0].HTML, v.Nodes[0].Summary)
		}
	}
}

// liveDaemon serves a state that tests change, on loopback.
func liveDaemon(t *testing.T) (*Daemon, chan watchdog.News, string) {
	t.Helper()
	d := testDaemon(t, demoState(time.Now()))
	d.take(watchdog.News{Events: demoEvents(time.Now())}, time.Now())
	demoTraffic(d)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	feed, done := make(chanFeed, 16), make(chan error, 1)
	go func() { done <- d.Run(context.Background(), feed, []net.Listener{l}) }()
	t.Cleanup(func() {
		close(feed)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d, feed, l.Addr().String()
}

// TestPage looks at the page as people do: on a screen and on a phone, light and dark.
func TestPage(t *testing.T) {
	t.Parallel()
	_, news, address := liveDaemon(t)
	b := openBrowser(t, address)
	b.like(1280, 900, "light")
	b.do(chromedp.Navigate("http://" + address + "/"))
	b.shows("live", time.Minute)
	b.shows("192.0.2.80/24 on eth0", time.Minute)

	t.Run("a change is shown within a second", func(t *testing.T) {
		// One of a few does, however busy the machine is.
		var took []time.Duration
		for n := range uint64(5) {
			s := demoState(time.Now())
			why, event := fmt.Sprintf("192.0.2.3 has priority %d", 250+n), fmt.Sprintf("a stronger one came, number %d", n)
			s.VRRP.Instances[0].State, s.VRRP.Instances[0].Reason, s.VRRP.Instances[0].Master = "BACKUP", why, "192.0.2.3"
			answer := b.shows("live", time.Minute)
			news <- watchdog.News{Status: s, Events: []controlEvent{{Seq: 1000 + n, Time: time.Now(), Kind: "instance", Subject: "outside", From: "MASTER", To: "BACKUP", Reason: event}}}
			took = append(took, b.shows(why, time.Minute)+b.shows(event, time.Minute)-10*answer)
			if took[n] <= time.Second {
				break
			}
		}
		if slices.Min(took) > time.Second {
			t.Errorf("the state and the event took %v", took)
		}
		news <- watchdog.News{Status: demoState(time.Now())}
		b.shows("no advert from", time.Minute)
	})

	t.Run("what is hostile stays text", func(t *testing.T) {
		s := demoState(time.Now())
		s.VRRP.Instances[0].Reason = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
		news <- watchdog.News{Status: s}
		b.shows("<img src=x", time.Minute)
		if eval[string](b, "document.title") == "owned" {
			t.Error("a reason was taken for markup")
		}
		news <- watchdog.News{Status: demoState(time.Now())}
		b.shows("no advert from", time.Minute)
	})

	t.Run("a filter, and what is folded", func(t *testing.T) {
		s := demoState(time.Now())
		s.Checkers.Services = append(s.Checkers.Services, farm(150, 20).Checkers.Services...)
		news <- watchdog.News{Status: s}
		b.shows("53 more are not shown", time.Minute)
		b.do(chromedp.SendKeys(chromedp.CSS("#filter"), "service-0149"))
		b.shows("service-0149", time.Minute)
		if shown := eval[int](b, "document.querySelectorAll('#services > li').length"); shown != 1 {
			t.Errorf("%d virtual servers match", shown)
		}
		b.do(chromedp.Click(chromedp.CSS("#services summary")))
		b.shows("10.0.149.19:80", time.Minute)
		eval[int](b, `document.querySelector("#filter").value = ""; document.querySelector("#filter").dispatchEvent(new Event("input")); 0`)
		news <- watchdog.News{Status: demoState(time.Now())}
		b.shows("3 virtual servers", time.Minute)
	})

	for _, scheme := range []string{"light", "dark"} {
		for _, width := range []int64{1280, 360} {
			name := fmt.Sprintf("%s, %d wide", scheme, width)
			b.like(width, 800, scheme)
			eval[int](b, `document.querySelectorAll("details").forEach((d) => d.open = true); 0`)
			b.accessible(name)
			if wide := eval[int64](b, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s: the page is %d wide", name, wide)
			}
			picture(t, b, width, scheme)
		}
	}

	t.Run("a burst of events that does not fit the stream", func(t *testing.T) {
		var burst []controlEvent
		for i := range uint64(streamQueue + 36) {
			burst = append(burst, controlEvent{Seq: 2000 + i, Time: time.Now(), Kind: "server", Subject: fmt.Sprintf("burst-%03d", i), From: "up", To: "down"})
		}
		news <- watchdog.News{Events: burst}
		b.shows(burst[len(burst)-1].Subject, time.Minute)
		b.shows("burst-000", time.Minute)
	})
	b.clean()
}

// picture takes the screenshot of a page for the documentation, where
// DIRECTOR_SCREENSHOTS is set.
func picture(t *testing.T, b *browser, width int64, scheme string) {
	t.Helper()
	if os.Getenv("DIRECTOR_SCREENSHOTS") == "" {
		return
	}
	// As long as the page is: the services are below the addresses.
	eval[int](b, `document.querySelectorAll("details").forEach((d) => d.open = d.closest("li").dataset.key === "web"); scrollTo(0, 0); 0`)
	b.like(width, map[bool]int64{true: 1500, false: 1900}[width > 600], scheme)
	shot, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("page-%s-%s.png", map[bool]string{true: "desktop", false: "phone"}[width > 600], scheme)
	if err := os.WriteFile(filepath.Join("../../docs/images", name), fewColours(t, shot), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fewColours makes a screenshot small: a page has few colours, and shades of them at the
// edges of letters.
func fewColours(t *testing.T, text []byte) []byte {
	t.Helper()
	full, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	coarse := func(c color.Color) color.RGBA {
		r, g, b, _ := c.RGBA()
		return color.RGBA{uint8(r>>8) &^ 3, uint8(g>>8) &^ 3, uint8(b>>8) &^ 3, 255}
	}
	often := make(map[color.RGBA]int)
	size := full.Bounds()
	for y := range size.Dy() {
		for x := range size.Dx() {
			often[coarse(full.At(x, y))]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(often), func(a, b color.RGBA) int { return cmp.Compare(often[b], often[a]) })
	palette := make(color.Palette, 0, 64)
	for _, c := range colours[:min(64, len(colours))] {
		palette = append(palette, c)
	}
	small := image.NewPaletted(size, palette)
	nearest := make(map[color.RGBA]uint8, len(often))
	for y := range size.Dy() {
		for x := range size.Dx() {
			c := coarse(full.At(x, y))
			index, known := nearest[c]
			if !known {
				index = uint8(palette.Index(c))
				nearest[c] = index
			}
			small.SetColorIndex(x, y, index)
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPageReconnects: the page tells that the director is away, and finds it again.
func TestPageReconnects(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	feed, done := make(chanFeed), make(chan error, 1)
	go func() {
		done <- testDaemon(t, demoState(time.Now())).Run(context.Background(), feed, []net.Listener{l})
	}()
	b := openBrowser(t, address)
	b.do(chromedp.Navigate("http://" + address + "/"))
	b.shows("live", time.Minute)
	close(feed)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.shows("not connected", time.Minute)
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	s := demoState(time.Now())
	s.Generation = 77
	feed = make(chanFeed)
	go func() { done <- testDaemon(t, s).Run(context.Background(), feed, []net.Listener{l}) }()
	b.shows("configuration 77", time.Minute)
	b.shows("live", time.Minute)
	close(feed)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestPageDigest: whatever the farm, what the page gets is small.
func TestPageDigest(t *testing.T) {
	d := testDaemon(t, farm(2000, 20))
	w := ask(d, "GET", "/api/page")
	if n := w.Body.Len(); w.Code != 200 || n > 400_000 {
		t.Errorf("status %d, %d bytes for a farm of 40,000 servers", w.Code, n)
	}
	var p pageState
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if p.Farm.Total != 2000 || len(p.Farm.List) != shownServices || p.Farm.Servers["up"] != 40_000 {
		t.Errorf("%d virtual servers, %d shown, servers %v", p.Farm.Total, len(p.Farm.List), p.Farm.Servers)
	}
	t.Logf("%d bytes", w.Body.Len())
}
