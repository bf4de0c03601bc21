package test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
)

// transferFarm is one director with a farm behind NAT and one of direct routing, each with three servers; lists holds their entries.
func transferFarm(lists ...string) string {
	conf := "[global]\nkeep_ipvs_on_stop = true\n" + strings.Replace(pairConfig(100, "300ms"), `["192.0.2.80/24"]`, `["192.0.2.80/24", "192.0.2.81/24"]`, 1)
	for i, name := range []string{"nat", "dr"} {
		conf += fmt.Sprintf("[virtual_server.%[1]s]\naddress = \"192.0.2.8%[2]d:80\"\nscheduler = \"wrr\"\nforwarding = %[1]q\n"+
			"check = { type = \"http\", path = \"/health\", interval = \"300ms\", fall = 3 }\nreal_server = [\n%[3]s]\n", name, i, lists[i])
	}
	return conf
}

// testLongTransfers has one transfer by NAT and one by direct routing go on through all that can happen to the director and to the rest of its
// farms, each byte checked.
func testLongTransfers(t *testing.T) {
	f := newFarm(t, 1, 3)
	f.outsideServers(3)
	for _, s := range f.servers[3:] {
		f.Must(s.AddAddr("lo", netip.MustParsePrefix("192.0.2.81/32")))
	}
	f.webServers(f.servers...)
	entries := func(network string, first, last int) string {
		text := ""
		for i := first; i <= last; i++ {
			text += fmt.Sprintf("  { name = \"s%d\", address = \"%s.1%d:80\" },\n", i, network, (i-1)%3+1)
		}
		return text
	}
	nat, dr := entries("10.0.0", 1, 3), entries("192.0.2", 4, 6)
	conf := transferFarm(nat, dr)
	d := startDirector(t, f.directors[0], conf)
	d.waitMaster()
	d.WaitServers()
	table := ipvsTable(t, d.host)

	transfers := map[string]*netlab.Transfer{}
	for name, vip := range map[string]string{"nat": "192.0.2.80", "dr": "192.0.2.81"} {
		transfer, err := f.client.LongTransfer(t.Context(), "http://"+vip+"/stream")
		f.Must(err)
		defer transfer.Stop()
		transfers[name] = transfer
	}
	// other is a server of a farm that the transfer does not come from.
	other := func(service string) string {
		for _, s := range d.Service(service).Servers {
			if s.Name != transfers[service].From() {
				return s.Name
			}
		}
		return ""
	}
	without := func(list, name string) string {
		return strings.Replace(list, linesWith(list, fmt.Sprintf("%q", name)), "", 1)
	}
	reload := func(t *testing.T, text string) {
		t.Helper()
		if err := d.Reload(text); err != nil {
			t.Fatal(err)
		}
	}
	command := func(t *testing.T, words ...string) {
		t.Helper()
		if _, err := d.CLI(words[0], words[1:]...); err != nil {
			t.Error(err)
		}
	}
	gone := func(t *testing.T) {
		t.Helper()
		f.Within(patience, "no process is left", func() bool { return len(d.host.Processes()) == 0 })
		if got := ipvsTable(t, d.host); got != table {
			t.Errorf("the table without director:\n%s", got)
		}
	}
	for _, event := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"checker child killed", func(*testing.T) { d.WaitRespawn("checkers", d.Kill("checkers"), patience) }},
		{"VRRP child killed", func(*testing.T) { d.WaitRespawn("vrrp", d.Kill("vrrp"), patience) }},
		{"both killed", func(*testing.T) {
			vrrp, checkers := d.Kill("vrrp"), d.Kill("checkers")
			d.WaitRespawn("vrrp", vrrp, patience)
			d.WaitRespawn("checkers", checkers, patience)
		}},
		{"parent killed and started again", func(t *testing.T) {
			d.Kill("parent")
			gone(t)
			d = d.Again()
		}},
		{"everything killed and started again", func(t *testing.T) {
			d.host.KillAll()
			gone(t)
			d = d.Again()
		}},
		{"stopped and started again", func(t *testing.T) {
			command(t, "stop")
			gone(t)
			d = d.Again()
		}},
		{"reload without a change", func(t *testing.T) { reload(t, conf) }},
		{"other servers removed and weighed", func(t *testing.T) {
			reload(t, strings.ReplaceAll(transferFarm(without(nat, other("nat")), without(dr, other("dr"))), "80\" }", "80\", weight = 3 }"))
			reload(t, conf)
			d.WaitServers()
		}},
		{"a virtual server added and removed", func(t *testing.T) {
			reload(t, conf+"[virtual_server.more]\naddress = \"192.0.2.80:81\"\nreal_server = [\"10.0.0.11:80\"]\n")
			reload(t, conf)
		}},
		{"other servers drained and in maintenance", func(t *testing.T) {
			command(t, "drain", "nat", other("nat"))
			command(t, "maintain", "dr", other("dr"))
			command(t, "ready", "--everywhere", "all", "--wait")
		}},
		{"their own servers drained", func(t *testing.T) {
			command(t, "drain", "nat", transfers["nat"].From())
			command(t, "drain", "dr", transfers["dr"].From())
			command(t, "ready", "--everywhere", "all", "--wait")
		}},
		{"the other virtual server removed and added", func(t *testing.T) {
			transfers["nat"].Stop() // which the removal of its own would cut off
			delete(transfers, "nat")
			head, rest, _ := strings.Cut(conf, "[virtual_server.nat]")
			_, rest, _ = strings.Cut(rest, "[virtual_server.dr]")
			reload(t, head+"[virtual_server.dr]"+rest)
			reload(t, conf)
			d.WaitServers()
		}},
	} {
		t.Run(event.name, func(t *testing.T) {
			began := time.Now()
			event.do(t)
			d.waitMaster()
			took := time.Since(began)
			for name, transfer := range transfers {
				before := transfer.Bytes()
				f.Within(patience, "the transfer by "+name+" goes on", func() bool { return transfer.Bytes() > before+50 || transfer.Err() != nil })
				if err := transfer.Err(); err != nil {
					t.Fatalf("the transfer by %s broke: %v", name, err)
				}
			}
			t.Logf("done after %v, all transfers go on after %v", took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		})
	}
	if got := ipvsTable(t, d.host); got != table {
		t.Errorf("the table at the end:\n%s\nat the start:\n%s", got, table)
	}
	for name, transfer := range transfers {
		t.Logf("%s: %d bytes, longest stall %v", name, transfer.Bytes(), transfer.LongestStall().Round(time.Millisecond))
	}
}
