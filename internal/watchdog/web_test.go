package watchdog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"director/config"
	"director/internal/control"
)

// fakeWeb is a web process that writes down what it is told and answers every
// connection with its own /proc/self/status. Files in its directory change it:
//
//	web.crash  ends at once
//	web.deaf   does not read
func fakeWeb(dir string) Work {
	f := &fakeChild{role: RoleWeb, dir: dir}
	return func(_ context.Context, s *Settings, feed *Feed, sockets []*os.File) error {
		if _, ok := f.is("crash"); ok {
			return fmt.Errorf("as told")
		}
		listeners, err := Listeners(sockets)
		if err != nil {
			return err
		}
		for _, l := range listeners {
			go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				text, _ := os.ReadFile("/proc/self/status")
				w.Write(text)
			}))
		}
		f.note("serve %s", strings.ReplaceAll(strings.Join(s.Web.Listen, " "), dir, ""))
		if _, ok := f.is("deaf"); ok {
			time.Sleep(time.Hour)
		}
		for {
			n, err := feed.Next()
			if err == io.EOF {
				f.note("eof")
				return nil
			}
			if err != nil {
				return err
			}
			for _, e := range n.Events {
				f.note("event %s %s %s", e.Kind, e.Subject, e.To)
			}
			if n.Status != nil {
				f.note("status of %d processes", len(n.Status.Processes))
			}
		}
	}
}

// withWeb is a configuration with a web process at a UNIX socket.
func withWeb(d *daemon, sockets ...string) *config.Config {
	// The log of the children, for a user without rights.
	if err := os.Chmod(d.dir, 0o777); err != nil {
		d.t.Fatal(err)
	}
	d.file("log", d.log())
	if err := os.Chmod(filepath.Join(d.dir, "log"), 0o666); err != nil {
		d.t.Fatal(err)
	}
	c := conf("web", "farm")
	c.Web = &config.Web{User: "nobody", UpdateInterval: config.Duration(100 * time.Millisecond), MaxConnections: 8}
	for _, s := range sockets {
		c.Web.Listen = append(c.Web.Listen, filepath.Join(d.dir, s))
	}
	return c
}

// get asks a UNIX socket.
func get(socket string) (string, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	r, err := client.Get("http://director/")
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	return string(text), err
}

func TestWebProcess(t *testing.T) {
	d := prepare(t)
	d.configure(withWeb(d, "a.sock"))
	d.start()
	d.await("web serve /a.sock", 1)
	d.await("web status of 4 processes", 2)
	d.await("web event instance web BACKUP", 1)
	socket := filepath.Join(d.dir, "a.sock")
	text, err := get(socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := confinedStatus(text); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"CapBnd:\t0000000000000000", "Uid:\t65534\t65534\t65534\t65534", "Groups:\t \n", "Name:\tdirector: web"} {
		if !strings.Contains(text, want) {
			t.Errorf("/proc/self/status of the web process has no %q:\n%s", want, text)
		}
	}

	// It dies: nothing else notices, and another comes.
	vrrp, checkers := d.process(RoleVRRP).PID, d.process(RoleCheckers).PID
	web := d.process(RoleWeb).PID
	if err := syscall.Kill(web, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.await("web serve /a.sock", 2)
	d.eventually("the new process runs", func() bool { p := d.process(RoleWeb); return p.State == "running" && p.Restarts == 1 })
	if d.process(RoleVRRP).PID != vrrp || d.process(RoleCheckers).PID != checkers {
		t.Error("the death of the web process touched another")
	}

	// A reload that changes nothing of it leaves it alone; one that does starts it anew
	// and nothing else.
	web = d.process(RoleWeb).PID
	c := withWeb(d, "a.sock")
	c.VirtualServers = append(c.VirtualServers, config.VirtualServer{Name: "more"})
	d.configure(c)
	if r := d.reload(); !r.OK {
		t.Fatal(r.Errors)
	}
	if d.process(RoleWeb).PID != web {
		t.Error("a reload that does not concern it started the web process anew")
	}
	d.configure(withWeb(d, "b.sock"))
	if r := d.reload(); !r.OK {
		t.Fatal(r.Errors)
	}
	d.await("web serve /b.sock", 1)
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket that is gone from the configuration is still there: %v", err)
	}
	if d.process(RoleVRRP).PID != vrrp || d.process(RoleCheckers).PID != checkers {
		t.Error("a change of the web process' sockets touched another process")
	}
	d.cancel()
	if err := d.ends(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(d.dir, "b.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after the stop: %v", err)
	}
}

func TestWebProcessThatFails(t *testing.T) {
	d := prepare(t)
	c := withWeb(d, "a.sock")
	c.Web.Listen = append(c.Web.Listen, "192.0.2.77:1")
	d.configure(c)
	d.start(func(o *Options) { o.feedPatience = time.Second })
	d.says("the web process cannot be started")
	d.says("director is ready")
	d.eventually("the web process does not run", func() bool { return d.process(RoleWeb).State != "running" })
	d.eventually("status tells why", func() bool {
		return strings.Contains(d.process(RoleWeb).LastExit, "cannot assign requested address")
	})

	// It cannot serve.
	d.file("web.crash", "")
	d.configure(withWeb(d, "a.sock"))
	if r := d.reload(); !r.OK {
		t.Fatal(r.Errors)
	}
	d.eventually("it is started again and again", func() bool { return d.process(RoleWeb).Restarts >= 2 })

	// It reads nothing.
	d.remove("web.crash")
	d.file("web.deaf", "")
	d.await("web serve /a.sock", 1)
	d.await("vrrp applied 2", 1)
	began := time.Now()
	if s := d.status(); s.VRRP == nil || time.Since(began) > 15*time.Second {
		t.Errorf("status took %v with a web process that does not read", time.Since(began))
	}
	d.says("child hangs and is ended")
}

func TestFeederNeverWaits(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	taken := make(chan int, 10)
	f := newFeeder(w, &Settings{}, 5*time.Minute, func(n int) { taken <- n }, func(error) {})
	big := control.Status{Version: strings.Repeat("x", 1<<20)}
	began := time.Now()
	for i := range 50 {
		s := big
		s.Generation = uint64(i)
		f.status(&s)
		for range 100 {
			f.event(control.Event{Seq: uint64(i)})
		}
	}
	if d := time.Since(began); d > time.Minute {
		t.Errorf("telling a reader that does not read took %v", d)
	}
	feed, err := NewFeed(r)
	if err != nil {
		t.Fatal(err)
	}
	states, events := 0, 0
	for last := uint64(0); last != 49; {
		n, err := feed.Next()
		if err != nil {
			t.Fatal(err)
		}
		events += len(n.Events)
		if n.Status != nil {
			states++
			last = n.Status.Generation
		}
	}
	if states > 3 || events > 3*maxFeedEvents {
		t.Errorf("%d states and %d events reached a slow reader, of which all but the newest were to be dropped", states, events)
	}
	<-taken
	f.close()
	// The events after the last state may come by themselves.
	n, err := feed.Next()
	for ; err == nil && n.Status == nil && len(n.Events) > 0; n, err = feed.Next() {
	}
	if err != io.EOF {
		t.Errorf("after the end: %+v, %v", n, err)
	}
}

// The web process cannot say anything: neither by what its end of the channel can do
// nor by what the kernel lets it do.
func TestFeedIsOneWay(t *testing.T) {
	methods := reflect.TypeFor[*Feed]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; name != "Next" {
			t.Errorf("a Feed has a method %s", name)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := NewFeed(w); err == nil {
		t.Error("the writing end of a pipe is taken for a feed")
	}
	if _, err := r.Write([]byte("x")); err == nil {
		t.Error("the kernel lets the reader write")
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[1])
	if _, err := NewFeed(os.NewFile(uintptr(fds[0]), "socket")); err == nil {
		t.Error("a socket that could be written to is taken for a feed")
	}
}

func TestConfinedStatus(t *testing.T) {
	const good = "Name:\tx\nUid:\t65534\t65534\t65534\t65534\nCapInh:\t0\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\tff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n"
	if err := confinedStatus(good); err != nil {
		t.Error(err)
	}
	for _, change := range [][2]string{
		{"Uid:\t65534\t65534", "Uid:\t65534\t0"}, {"CapPrm:\t0000000000000000", "CapPrm:\t0000000000001000"},
		{"CapEff:\t0000000000000000", "CapEff:\t0000000000001000"}, {"CapAmb:\t0000000000000000", "CapAmb:\t1"},
		{"CapInh:\t0", "CapInh:\t1"}, {"NoNewPrivs:\t1", "NoNewPrivs:\t0"}, {"CapEff", "Cap"},
	} {
		if confinedStatus(strings.Replace(good, change[0], change[1], 1)) == nil {
			t.Errorf("%q is taken for no right", change[1])
		}
	}
}

func TestNewsCarriesNoSecret(t *testing.T) {
	c := conf("web", "")
	c.Web = &config.Web{Listen: []string{"/x"}}
	text, err := json.Marshal(News{Settings: &Settings{Web: c.Web}})
	if err != nil || strings.Contains(string(text), "Instances") {
		t.Errorf("the web process is told of the configuration: %s %v", text, err)
	}
}
