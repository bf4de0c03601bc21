package test

import (
	"fmt"
	"strings"
	"testing"

	"director/internal/control"
	"director/internal/netlab"
)

// syncFarm is one of two directors of a farm of direct routing. Who comes back stays backup.
func syncFarm(priority int, sync string) string {
	return fmt.Sprintf(`
[vrrp_instance.outside]
interface = "eth0"
virtual_router_id = 51
priority = %d
nopreempt = true
advert_interval = "300ms"
virtual_ipaddress = ["192.0.2.80/24"]
[virtual_server.web]
address = "192.0.2.80:80"
scheduler = "rr"
forwarding = "dr"
check = { type = "tcp", interval = "500ms", fall = 3 }
real_server = [{ name = "s1", address = "192.0.2.11" }, { name = "s2", address = "192.0.2.12" }]
%s`, priority, sync)
}

// activeWith has the virtual server of a farm follow the instance.
func activeWith(conf string) string {
	return strings.Replace(conf, "scheduler = ", "active_with = \"outside\"\nscheduler = ", 1)
}

// established says whether the kernel of a host knows a client's connection.
func established(t *testing.T, h *netlab.Host, client string) bool {
	t.Helper()
	out, err := h.Run("ipvsadm", "-Lnc")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "ESTABLISHED "+client+" ") {
			return true
		}
	}
	return false
}

// testSync moves the virtual address while a long transfer runs, by the death of a master, by the death of its parent process and by order. With
// connection sync, on both all the time or following the instance, the transfer goes on; without, it is reset.
func testSync(t *testing.T) {
	f := newFarm(t, 2, 0)
	f.outsideServers(2)
	for _, s := range f.servers {
		f.must(s.Run("ip", "addr", "add", outsideVIP+"/32", "dev", "lo"))
	}
	f.webServers(f.servers...)
	const onBoth = "[ipvs_sync]\ninterface = \"eth1\"\nsync_id = 7\n"
	for _, h := range f.directors { // the kernel cuts off connections without a server as soon as it can
		f.must(h.Run("ipvsadm", "-C")) // which makes it know the setting
		f.Must(h.Sysctl("net/ipv4/vs/expire_nodest_conn", "1"))
	}
	master, backup := startDirector(t, f.directors[0], syncFarm(100, onBoth)), startDirector(t, f.directors[1], syncFarm(100, onBoth))

	t.Run("active with the instance", func(t *testing.T) { testOrder(t, f, activeWith(syncFarm(100, onBoth)), master, backup) })

	// dies ends the master as the end of its host would be for the others.
	dies := func() {
		master.host.KillAll()
		f.must(master.host.Run("ip", "addr", "flush", "to", outsideVIP, "dev", "eth0"))
	}
	for _, c := range []struct {
		name, sync string
		end        func()
		survives   bool
	}{
		{"on both, the master dies", onBoth, dies, true},
		{"following, the parent dies", onBoth + "vrrp_instance = \"outside\"\n", func() { master.Kill("parent") }, true},
		{"without", "", dies, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, d := range []*director{master, backup} {
				if err := d.Reload(syncFarm(100, c.sync)); err != nil {
					t.Fatal(err)
				}
			}
			f.Eventually(patience, "there is a master", func() error {
				if backup.Instance("outside").State == "MASTER" {
					master, backup = backup, master
				}
				if a, b := master.Instance("outside").State, backup.Instance("outside").State; a != "MASTER" || b != "BACKUP" {
					return fmt.Errorf("%s is %s, %s is %s", master.host.Name(), a, backup.host.Name(), b)
				}
				return nil
			})
			master.WaitServers()
			backup.WaitServers()
			transfer, err := f.client.LongTransfer(t.Context(), farmURL+"stream")
			f.Must(err)
			defer transfer.Stop()
			learned := func(d *director) {
				t.Helper()
				f.Within(patience, d.host.Name()+" has learned of the transfer", func() bool { return established(t, d.host, transfer.Local()) })
			}
			// served says that the transfer goes on, and counts for its server where it goes through.
			served := func(d *director) {
				t.Helper()
				d.WaitInstance("outside", "MASTER", patience)
				before := transfer.Bytes()
				f.Within(patience, "the transfer goes on", func() bool { return transfer.Bytes() > before+100 || transfer.Err() != nil })
				if err := transfer.Err(); err != nil {
					t.Fatalf("the transfer broke: %v", err)
				}
				d.waitService("web", "the transfer counts", func(v control.Service) error {
					if s, err := serverOf(v, transfer.From()); err != nil || s.Active == 0 {
						return fmt.Errorf("%v: %+v", err, s)
					}
					return nil
				})
			}
			if !c.survives {
				c.end()
				backup.WaitInstance("outside", "MASTER", patience)
				f.Within(patience, "the transfer breaks", func() bool { return transfer.Err() != nil })
				t.Logf("without sync: %v", transfer.Err())
				return
			}
			learned(backup)
			c.end()
			served(backup)
			f.Within(patience, "no process is left", func() bool { return len(master.host.Processes()) == 0 })
			f.must(master.host.Run("ipvsadm", "-C"))
			master, backup = backup, master.Again()
			backup.WaitInstance("outside", "BACKUP", patience)
			// And back by order.
			learned(backup)
			f.must(master.CLI("vrrp", "release", "outside"))
			served(backup)
			f.must(master.CLI("vrrp", "auto", "outside"))
			master, backup = backup, master
			t.Logf("longest stall %v", transfer.LongestStall())
		})
	}
}
