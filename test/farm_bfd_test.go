package test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"director/internal/control"
)

// testBFDCheck: servers whose BFD sessions are their checks, by way of both children and the parent.
func testBFDCheck(t *testing.T) {
	f := newFarm(t, 1, 2)
	const often = "min_rx = \"300ms\"\nmin_tx = \"300ms\"\nmultiplier = 4\n"
	conf := "[virtual_server.web]\naddress = \"192.0.2.80:80\"\nscheduler = \"rr\"\n"
	speaker := "[[static_address]]\naddress = \"10.9.9.9/32\"\ndevice = \"lo\"\n[bfd.director]\nneighbor_ip = \"10.0.0.1\"\n" + often
	speakers := make([]*director, 2)
	for i := range speakers {
		conf += fmt.Sprintf("[bfd.s%[1]d]\nneighbor_ip = \"10.0.0.%[2]d\"\n%[3]s[[virtual_server.web.real_server]]\nname = \"s%[1]d\"\naddress = \"10.0.0.%[2]d\"\ncheck = { type = \"bfd\", bfd = \"s%[1]d\" }\n", i+1, i+11, often)
		speakers[i] = startDirector(t, f.servers[i], speaker)
	}
	d := startDirector(t, f.directors[0], conf)
	d.WaitServers()
	since := d.WaitServer("web", "s1", "up").Since

	// Neither child's death is a server's.
	d.WaitRespawn("vrrp", d.Kill("vrrp"), patience)
	d.WaitRespawn("checkers", d.Kill("checkers"), patience)
	d.waitBFD(patience, "Up", nil)
	if s := d.WaitServer("web", "s1", "up"); !s.Since.Equal(since) {
		t.Errorf("s1 is up since %v, was since %v", s.Since, since)
	}
	// A server is cut off.
	cut := time.Now()
	f.Must(f.servers[0].Cut())
	s := d.WaitServer("web", "s1", "down")
	t.Logf("s1 was down %v after the cut: %s", s.Since.Sub(cut).Round(time.Millisecond), s.Reason)
	if !strings.Contains(s.Reason, "bfd s1: unreachable: session is Down: nothing heard from 10.0.0.11") {
		t.Errorf("s1 is down: %s", s.Reason)
	}
	f.Must(f.servers[0].Heal())
	d.WaitServer("web", "s1", "up")
	// One that takes its session down in order says nothing against its server.
	speakers[1].Stop()
	d.waitService("web", "the session of s2 was taken down", func(v control.Service) error {
		if r := v.Servers[1]; r.Health != "up" || !strings.Contains(r.Checks[0].Result, "was taken down") {
			return fmt.Errorf("s2 is %s: %+v", r.Health, r.Checks)
		}
		return nil
	})
}
