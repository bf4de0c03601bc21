package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"director/internal/control"
	"director/internal/netlab"
	"director/internal/ptytest"
	"director/internal/top"
	"director/internal/watchdog"
)

// testTop watches real traffic with `director top`, loses the daemon, and finds it again.
func testTop(t *testing.T) {
	f := newFarm(t, 1, 2)
	f.webServers(f.servers...)
	h := f.directors[0]
	f.Must(h.AddAddr("eth0", netip.MustParsePrefix(outsideVIP+"/24")))
	f.Must(h.AddAddr("eth1", netip.MustParsePrefix(insideVIP+"/24")))
	if _, err := h.Run("ipvsadm", "-A", "-t", "198.51.100.7:25", "-s", "lc"); err != nil {
		t.Fatal(err)
	}
	screen := startTop(t, h)
	screen.WaitFor("LOST", "not running", "198.51.100.7:25/tcp", "q quit")
	d := startDirector(t, h, strings.Replace(plainFarm, `interval = "500ms"`, `interval = "200ms"`, 1))
	d.WaitServer("web", "s1", "up")
	d.WaitServer("web", "s2", "up")
	d.WaitServer("web", "s3", "down")

	watch, err := h.Start("top", d.argv("top", "--batch", "--json", "--expand", "--interval", "100ms", "--sort", "name")...)
	f.Must(err)
	newest := func() (doc top.Document, err error) {
		file, err := os.Open(watch.LogPath())
		if err != nil {
			return doc, err
		}
		defer file.Close()
		line := ""
		for scan := bufio.NewScanner(file); scan.Scan(); {
			line = scan.Text()
		}
		return doc, json.Unmarshal([]byte(line), &doc) // of half a line: the next try has it
	}
	shows := func(what string, right func(web top.Service, doc top.Document) bool) {
		t.Helper()
		f.Eventually(patience, what, func() error {
			doc, err := newest()
			if err != nil {
				return err
			}
			for _, s := range doc.Services {
				if s.Name == "web" && right(s, doc) {
					return nil
				}
			}
			return fmt.Errorf("it shows %+v", doc)
		})
	}
	shows("the state of the farm", func(web top.Service, doc top.Document) bool {
		in := map[string]bool{}
		for _, s := range web.Servers {
			in[s.Name+" "+s.Health] = s.In
		}
		return web.State == "up" && web.Up == 2 && web.Total == 3 && in["s1 up"] && in["s2 up"] && !in["s3 down"] &&
			len(web.Servers) == 3 && doc.DaemonError == "" && len(doc.Services) == 2 && doc.Services[0].Name == "198.51.100.7:25/tcp"
	})
	enough, over := make(chan struct{}), make(chan struct{})
	leave := sync.OnceFunc(func() { close(enough); <-over })
	defer leave()
	go func() { // clients, for as long as rates are looked at
		defer close(over)
		for {
			select {
			case <-enough:
				return
			default:
				_, _, _ = f.client.Get(farmURL, time.Second) // what is lost is lost
			}
		}
	}()
	moves := func(web top.Service, _ top.Document) bool {
		r := web.Rates
		return r.Connections > 0 && r.InPackets > 0 && r.OutPackets > 0 && r.InBytes > 0 && r.OutBytes > r.InBytes/10 && web.Inactive+web.Active > 0
	}
	shows("rates", moves)
	screen.Type("/web\r\x1b[C") // the virtual server, with its servers
	screen.WaitFor("- web", "s1", "s3", "down", "1 of 2 services")
	screen.Resize(60, 12)
	screen.Wait("a small window", func(text string) bool { return strings.Contains(text, "- web") && !strings.Contains(text, "VRRP") })
	screen.Resize(130, 40)
	screen.WaitFor("- web", "s1", "s3", "checkers")
	d.Kill("parent")
	screen.Wait("the daemon is lost", func(text string) bool { return strings.Contains(text, "not running") && strings.Contains(text, "s1") })
	shows("the daemon is lost, and the numbers go on", func(web top.Service, doc top.Document) bool {
		return strings.Contains(doc.DaemonError, "not running") && moves(web, doc) && web.State == "up"
	})
	f.Eventually(patience, "only top is left", func() error {
		if left := h.Processes(); len(left) != 2 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	leave()
	d = startDirector(t, h, plainFarm)
	shows("the daemon is back", func(_ top.Service, doc top.Document) bool { return doc.DaemonError == "" })
	f.Must(watch.Stop(patience))
	screen.Wait("the daemon is back", func(text string) bool {
		return !strings.Contains(text, "not running") && strings.Contains(text, "checkers")
	})
	screen.Type("q")
	if status := screen.WaitExit(); status != 0 {
		t.Errorf("exit status %d:\n%s", status, screen.Text())
	}
	screen.Look(func(s *ptytest.Screen) {
		if s.Alternate || s.Hidden || s.NoWrap {
			t.Errorf("left behind: alternate screen %v, hidden cursor %v, lines cut %v", s.Alternate, s.Hidden, s.NoWrap)
		}
	})

	out, err := d.CLI("top", "--once")
	if err != nil || !strings.Contains(out, "VIRTUAL SERVER") || !strings.Contains(out, "+ web ") || !strings.Contains(out, "not director's") {
		t.Errorf("top --once: %v\n%s", err, out)
	}
	if os.Getenv("DIRECTOR_BENCH") != "" {
		d.Stop()
		topMeasured(t, f, h)
	}
}

// startTop runs `director top` on a terminal of a host, whether a daemon runs there or not.
func startTop(t *testing.T, h *netlab.Host) *ptytest.Terminal {
	cmd := h.Command(t.Context(), binary(t), "top", "--runtime-dir", h.Path("run"), "--interval", "200ms")
	cmd.Env = append(cmd.Env, "TERM=xterm")
	return ptytest.Start(t, 100, 24, cmd)
}

// topMeasured measures what looking costs the processes of a daemon with 2,000 services and 40,000 servers.
func topMeasured(t *testing.T, f *farm, h *netlab.Host) {
	var text strings.Builder
	text.WriteString("[global]\nchild_timeout = \"60s\"\n") // the machine is slow
	for i := range 2000 {
		fmt.Fprintf(&text, "[virtual_server.s%d]\naddress = \"192.0.%d.%d:80\"\nscheduler = \"rr\"\nreal_server = [", i, 2+i/250, 1+i%250)
		for j := range 20 {
			fmt.Fprintf(&text, "\"172.%d.%d.%d:80\",", 16+i/250, i%250, 1+j)
		}
		text.WriteString("]\n")
	}
	d := launchDirector(t, h, text.String())
	d.waitFor(5*patience, "the table", func(s control.Status) error {
		if s.Checkers == nil || s.Checkers.Work.Operations < 42_000 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	processes := d.Status().Processes
	used := func() (parent, children time.Duration) {
		for _, p := range processes {
			if p.PID == 0 {
				continue
			}
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
			f.Must(err)
			fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
			user, err := strconv.Atoi(fields[11])
			f.Must(err)
			system, err := strconv.Atoi(fields[12])
			f.Must(err)
			took := time.Duration(user+system) * 10 * time.Millisecond
			if p.Role == "parent" {
				parent += took
			} else {
				children += took
			}
		}
		return parent, children
	}
	idle := func(d time.Duration) (parent, children time.Duration) { // a second of doing nothing
		p0, c0 := used()
		time.Sleep(d)
		p1, c1 := used()
		return (p1 - p0) * time.Second / d, (c1 - c0) * time.Second / d
	}
	time.Sleep(45 * time.Second) // the start is over
	pIdle, cIdle := idle(20 * time.Second)
	// The live view: one connection, the services of one page, one of them unfolded.
	live := &top.Live{Socket: watchdog.SocketPath(d.RuntimeDir()), Namespace: h.Namespace()}
	page := top.Want{Open: []string{"s7"}}
	for i := range 40 {
		page.Read = append(page.Read, fmt.Sprintf("s%d", i))
	}
	live.Sample(page)
	p0, c0 := used()
	begin := time.Now()
	const looks = 60
	for range looks {
		if s := live.Sample(page); s.Lost != nil || s.Kernel != nil || len(s.Stats) < 2000 {
			t.Errorf("%v, %v, %d services", s.Lost, s.Kernel, len(s.Stats))
		}
	}
	took := time.Since(begin)
	p1, c1 := used()
	live.Close()
	t.Logf("doing nothing takes the parent %v a second, its children %v", pIdle, cIdle)
	t.Logf("live: each look took %v; CPU of the parent %v, of its children %v; without what they do anyway %v and %v", (took / looks).Round(time.Millisecond),
		(p1-p0)/looks, (c1-c0)/looks, (p1-p0-time.Duration(float64(pIdle)*took.Seconds()))/looks, (c1-c0-time.Duration(float64(cIdle)*took.Seconds()))/looks)
	for _, look := range []struct {
		what, args string
		times      int
	}{
		{"all services as JSON", "top --once --json", 10},
		{"all services and servers as JSON", "top --once --json --expand", 3},
		{"for comparison, status", "status", 2},
	} {
		time.Sleep(2 * time.Second) // what went before is over
		p0, c0 := used()
		begin := time.Now()
		for range look.times {
			args := strings.Fields(look.args)
			if _, err := d.CLI(args[0], args[1:]...); err != nil {
				t.Log(err) // the machine is slow
			}
		}
		took := time.Since(begin)
		p1, c1 := used()
		n := time.Duration(look.times)
		t.Logf("%s: each look took %v; CPU of the parent %v, of its children %v", look.what, (took / n).Round(time.Millisecond), (p1-p0)/n, (c1-c0)/n)
	}
	d.Stop()
}
