package test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"director/internal/netlab"
)

// plainFarm is a virtual server with three servers, checked by HTTP.
const plainFarm = `
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
check = { type = "http", path = "/health", interval = "500ms", timeout = "3s", rise = 1, fall = 3 }
real_server = [
  { name = "s1", address = "10.0.0.11:80" },
  { name = "s2", address = "10.0.0.12:80" },
  { name = "s3", address = "10.0.0.13:80" },
]
`

// plainTable is its table while all servers are up.
const plainTable = `
	-A -t 192.0.2.80:80 -s rr
	-a -t 192.0.2.80:80 -r 10.0.0.11:80 -m -w 1
	-a -t 192.0.2.80:80 -r 10.0.0.12:80 -m -w 1
	-a -t 192.0.2.80:80 -r 10.0.0.13:80 -m -w 1`

const farmURL = "http://" + outsideVIP + "/"

// testPair puts two directors in front of a farm. Both have the table all the time, so whichever owns the addresses serves:
// the active one is stopped, returns, loses its power and returns again, under load.
func testPair(t *testing.T) {
	f := newFarm(t, 2, 3)
	f.webServers(f.servers...)
	const advert = "300ms"
	conf := plainFarm + pairConfig(100, advert)
	a := startDirector(t, f.directors[0], conf)
	b := startDirector(t, f.directors[1], plainFarm+pairConfig(50, advert))
	a.waitMaster()
	a.WaitServers()
	b.WaitServers()
	for _, name := range []string{"outside", "inside"} {
		b.WaitInstance(name, "BACKUP", patience)
	}
	for _, d := range []*director{a, b} {
		wantTable(t, d.host, plainTable)
	}
	load := f.client.LoadHTTP(t.Context(), farmURL, 40*time.Millisecond, 10*time.Second)
	defer load.Stop()
	f.Must(load.AwaitOK(patience, 20))

	if s := load.Stats(); s.Failed != 0 {
		t.Errorf("before anything happened: %v", s)
	}

	// Connections that are open at the moment of a switch break, because the other director does not know them; requests
	// that begin later are all served.
	outside, err := f.front.Capture(netlab.FilterARP)
	f.Must(err)
	defer outside.Close()
	inside, err := f.back.Capture(netlab.FilterARP)
	f.Must(err)
	defer inside.Close()
	// announced is when a director has told both networks that the addresses are its own.
	announced := func(d *director, began time.Time) (last time.Time) {
		t.Helper()
		for i, capture := range []*netlab.Capture{outside, inside} {
			vip, own := []string{outsideVIP, insideVIP}[i], mac(t, d.host, []string{"eth0", "eth1"}[i])
			f.Eventually(patience, d.host.Name()+" announces "+vip, func() error {
				for _, a := range capture.ARPs() {
					if a.Gratuitous() && a.Sender.String() == vip && a.SenderMAC == own && a.Time.After(began) {
						if a.Time.After(last) {
							last = a.Time
						}
						return nil
					}
				}
				return errors.New("not yet")
			})
		}
		return last
	}
	var judged time.Time
	served := func(what string, d *director, began time.Time) {
		t.Helper()
		var since time.Time
		for _, name := range []string{"outside", "inside"} {
			if i := d.WaitInstance(name, "MASTER", patience); i.Since.After(since) {
				since = i.Since
			}
		}
		f.Must(load.AwaitOK(patience, 20))
		switched := announced(d, began)
		s := load.Since(began)
		t.Logf("%s: %v; the gap began after %v; %s is master after %v", what, s, s.GapStart.Sub(began).Round(time.Millisecond),
			d.host.Name(), since.Sub(began).Round(time.Millisecond))
		for _, r := range load.Results() {
			if r.Err != nil && r.Start.After(judged) && r.Start.After(switched) {
				t.Errorf("%s: a request %v after the switch failed: %v", what, r.Start.Sub(since).Round(time.Millisecond), r.Err)
			}
		}
		judged = time.Now()
	}

	began := time.Now()
	a.Stop()
	served("the active director stops", b, began)
	if i := b.Instance("outside"); i.Code != "master_stopped" {
		t.Errorf("b took over because of %s (%s), want master_stopped", i.Code, i.Reason)
	}

	began = time.Now()
	a = a.Again()
	served("it returns", a, began)

	began = time.Now()
	f.Must(a.host.PowerOff())
	served("its power fails", b, began)
	if i := b.Instance("outside"); i.Code != "master_down" {
		t.Errorf("b took over because of %s (%s), want master_down", i.Code, i.Reason)
	}

	// A machine that boots has no virtual addresses.
	f.Must(a.host.DelAddr("eth0", netip.MustParsePrefix(outsideVIP+"/24")))
	f.Must(a.host.DelAddr("eth1", netip.MustParsePrefix(insideVIP+"/24")))
	_, err = a.host.Run("ipvsadm", "-C")
	f.Must(err)
	f.Must(a.host.Heal())
	began = time.Now()
	a = a.Again()
	served("it returns", a, began)
	wantTable(t, a.host, plainTable)
}
