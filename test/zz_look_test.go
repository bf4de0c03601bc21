package test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"director/internal/netlab/labtest"
)

func TestZZLook(t *testing.T) {
	if !labtest.RequireIPVS(t, filepath.Dir(binary(t))) {
		return
	}
	f := newFarm(t, 2, 3)
	web := f.webServers(f.servers...)
	conf := plainFarm + `
[virtual_server.api]
address = "192.0.2.80:8080"
scheduler = "wlc"
quorum = 2
check = { type = "tcp", interval = "500ms", rise = 1, fall = 2 }
real_server = [
  { name = "s1", address = "10.0.0.11:80" },
  { name = "s2", address = "10.0.0.12:80" },
]
[virtual_server.empty]
address = "192.0.2.80:9090"
check = { type = "tcp", interval = "500ms", rise = 1, fall = 2 }
real_server = [ { name = "s9", address = "10.0.0.99:80" } ]
sorry_server = "10.0.0.13:80"
`
	a := startDirector(t, f.directors[0], conf+pairConfig(100, "200ms"))
	b := startDirector(t, f.directors[1], conf+pairConfig(50, "200ms"))
	a.waitMaster()
	a.WaitServer("web", "s1", "up")
	time.Sleep(3 * time.Second)
	show := func(what string, d *director, args ...string) {
		out, err := d.CLI(args[0], args[1:]...)
		t.Logf("######## %s: director %s (%v)\n%s", what, strings.Join(args, " "), err, out)
	}
	show("calm master", a, "status")
	show("calm backup", b, "status")
	web[1].Close()
	time.Sleep(4 * time.Second)
	show("s2 dead", a, "status")
	_, _ = a.CLI("drain", "web", "s1", "--reason", "kernel update", "--deadline", "10m")
	_, _ = a.CLI("log", "level", "debug", "--for", "10m", "--process", "vrrp")
	a.Kill("checkers")
	time.Sleep(2 * time.Second)
	a.WriteConfig(conf + pairConfig(300, "200ms"))
	_, _ = a.CLI("reload")
	_, _ = a.CLI("vrrp", "release", "outside", "--reason", "try the peer", "--for", "1h")
	_, _ = a.host.Run("ip", "addr", "del", "10.0.0.254/24", "dev", "eth1")
	time.Sleep(3 * time.Second)
	show("much", a, "status")
	show("much", b, "status")
	show("much", a, "events")
	show("much", a, "explain", "outside")
	show("much", a, "explain", "web")
	show("much", a, "explain", "web/s2")
	show("much", a, "top", "--once", "-e")
}
