package checkd

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/ipvs"
	"director/ipvs/ipvstest"
)

// Any history of verdicts, orders, reloads, kills, stops, hand edits and failing kernel
// calls ends in the table that the configuration, the orders in force and the servers'
// health call for.
func TestAnyHistoryConverges(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		// What ends the history early is carried out of the bubble, so that rapid,
		// whose own clock must not stand still, can look for a shorter one.
		var ended any
		synctest.Test(t, func(*testing.T) {
			defer func() { ended = recover() }()
			history(rt, dir)
		})
		if ended != nil {
			panic(ended)
		}
	})
}

// stretch is longer than it takes to come to any verdict and through any back-off.
const stretch = 3 * time.Minute

func history(t *rapid.T, dir string) {
	if err := writeRecord(dir, nil); err != nil {
		t.Fatal(err)
	}
	os.Remove(filepath.Join(dir, maintenanceName))
	w := &world{t: t, kernel: ipvstest.New(tableOf("other: z1")), dir: dir, farm: newFarm()}
	defer func() {
		if w.parent != nil && t.Failed() {
			w.cancel()
			synctest.Wait()
			w.parent.hangUp()
		}
	}()
	var failing atomic.Int32 // the kind of operation that fails, or 0
	w.kernel.OnApply = func(o ipvs.Op) error {
		if int32(o.Kind) == failing.Load() {
			return syscall.ENOBUFS
		}
		return nil
	}
	servers := []string{"a", "b", "c", "s", "t"}
	down := map[string]bool{}
	drawConfig := func() *config.Config {
		var parts []string
		for _, name := range []string{"web", "dns", "mail"} {
			if !rapid.Bool().Draw(t, name) {
				continue
			}
			part := name + ":"
			for _, s := range servers[:3] {
				if weight := rapid.IntRange(0, 3).Draw(t, "weight"); weight > 0 {
					part += fmt.Sprintf(" %s%d", s, weight)
				}
			}
			parts = append(parts, part)
		}
		drains := rapid.Bool().Draw(t, "drain on remove")
		draw := func(what string) bool { return rapid.Bool().Draw(t, what) }
		inhibit, alpha, ramp, follows := draw("inhibit"), draw("alpha"), draw("ramp up"), draw("active with")
		threshold := rapid.SampledFrom([]string{"0%", "0%", "1%", "50%", "100%"}).Draw(t, "panic threshold")
		sorries := rapid.IntRange(0, 2).Draw(t, "sorry servers")
		return configOf(strings.Join(parts, ";"), func(c *config.Config) {
			for i := range c.VirtualServers {
				v := &c.VirtualServers[i]
				v.PanicThreshold = threshold
				if drains {
					v.DrainOnRemove = config.Duration(time.Minute)
				}
				if follows {
					v.ActiveWith = "lan"
				}
				for j := range v.RealServers {
					rs := &v.RealServers[j]
					rs.Inhibit, rs.Alpha = inhibit, alpha
					if ramp {
						rs.RampUp = config.Duration(20 * time.Second)
					}
				}
				for n := range sorries { // the first is checked, the second is always well
					v.SorryServers = append(v.SorryServers, config.SorryServer{Name: string(rune('s' + n)), Address: address(string(rune('s' + n)))})
					if n == 0 && len(v.RealServers) > 0 {
						v.SorryServers[0].Checks = v.RealServers[0].Checks
					}
				}
			}
		})
	}
	orders := map[string]string{} // what is in force for "web/a"
	cfg := drawConfig()
	role := ""
	tellRole := func() { // as the parent does when the configuration is in force
		if role != "" {
			w.parent.down <- watchdog.Message{Roles: &watchdog.Roles{States: map[string]string{"lan": role}}}
			synctest.Wait()
		}
	}
	configure := func(resume ...*control.Checkers) {
		w.configure(cfg, resume...)
		tellRole()
	}
	w.run()
	configure()
	for range rapid.IntRange(0, 12).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"verdict", "verdict", "order", "order", "reload", "role", "kill", "resume", "restart", "edit", "failure", "time"}).Draw(t, "step") {
		case "verdict":
			s := rapid.SampledFrom(servers).Draw(t, "server")
			down[s] = !down[s]
			answer := healthy
			if down[s] {
				answer = refused
			}
			w.farm.set(answer, s)
		case "order":
			verb := rapid.SampledFrom([]string{"drain", "maintain", "ready", "weight 0", "weight 2", "weight 150%"}).Draw(t, "order")
			what, weight, _ := strings.Cut(verb, " ")
			service, server := rapid.SampledFrom([]string{"web", "dns"}).Draw(t, "ordered"), rapid.SampledFrom(servers).Draw(t, "for")
			_, err := w.order(control.Order{Verb: what, Service: service, Servers: []string{server}, Weight: weight, Force: true, Author: "root"})
			if listed := configured(cfg, service, server); listed != (err == nil) {
				t.Fatalf("%s %s %s, configured %v: %v", verb, service, server, listed, err)
			}
			if err == nil {
				orders[service+"/"+server] = verb
			}
		case "reload":
			cfg = drawConfig()
			calm := failing.Load() == 0 && len(w.inquire().Failures) == 0
			w.kernel.Log()
			plan := w.plan(cfg)
			if done := w.kernel.Log(); done != "" {
				t.Errorf("a plan did\n%s", done)
			}
			w.configure(cfg)
			for _, m := range w.parent.take(func(m watchdog.Message) bool { return m.Ack != nil && m.Ack.Generation == w.gen }) {
				if planned, done := strings.Join(plan.IPVS, "\n"), strings.Join(m.Ack.Changes.IPVS, "\n"); calm && planned != done {
					t.Errorf("planned\n%s\ndone\n%s", planned, done)
				}
			}
			tellRole()
			maps.DeleteFunc(orders, func(name, _ string) bool {
				service, server, _ := strings.Cut(name, "/")
				return !configured(cfg, service, server)
			})
		case "role":
			role = rapid.SampledFrom([]string{"MASTER", "MASTER", "BACKUP", "FAULT"}).Draw(t, "role")
			tellRole()
		case "kill":
			w.kill()
			w.run()
			configure()
		case "resume":
			last := w.inquire()
			w.kill()
			w.run()
			configure(last)
		case "restart":
			if err := w.stop(); err != nil && failing.Load() == 0 {
				t.Fatalf("stop: %v", err)
			}
			w.run()
			configure()
		case "edit":
			service := rapid.SampledFrom([]string{"web", "dns"}).Draw(t, "service")
			server := rapid.SampledFrom(servers).Draw(t, "edited") + "9"
			kind := rapid.SampledFrom([]ipvs.OpKind{ipvs.AddService, ipvs.DeleteService, ipvs.AddDest, ipvs.EditDest, ipvs.DeleteDest}).Draw(t, "kind")
			op := onDest(kind, service, server)
			op.Service.Scheduler = "sh"
			if kind == ipvs.AddService && !alwaysThere(cfg, service) {
				continue // a stranger's service, which nobody would remove
			}
			w.kernel.ByHand(op) // it may well not apply
		case "failure":
			failing.Store(int32(rapid.SampledFrom([]ipvs.OpKind{0, ipvs.AddService, ipvs.DeleteService, ipvs.AddDest, ipvs.DeleteDest, ipvs.EditDest}).Draw(t, "failing")))
		}
		w.pass(rapid.SampledFrom([]time.Duration{0, quick, time.Second, 7 * time.Second, time.Minute}).Draw(t, "time"))
	}
	failing.Store(0)
	role = rapid.SampledFrom([]string{"MASTER", "BACKUP"}).Draw(t, "last role")
	tellRole()
	w.pass(stretch)

	want := expected(cfg, down, orders, role, w.inquire())
	if got := tableText(w.kernel.Table()); got != want {
		t.Errorf("table %q, want %q", got, want)
	}
	s := w.inquire()
	if len(s.Failures) != 0 {
		t.Errorf("failures %+v", s.Failures)
	}
	consistent(t, s, w.kernel.Table())
	if _, _, overlap := w.farm.load(); overlap {
		t.Error("a probe ran twice at the same time")
	}
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	w.table("other: z1")
}

func alwaysThere(cfg *config.Config, service string) bool {
	return slices.ContainsFunc(cfg.VirtualServers, func(v config.VirtualServer) bool { return v.Name == service && v.ActiveWith == "" })
}

// configured says whether a configuration has a service, and a server of it if one is
// named.
func configured(cfg *config.Config, service, server string) bool {
	return slices.ContainsFunc(cfg.VirtualServers, func(v config.VirtualServer) bool {
		return v.Name == service && (server == "" || slices.ContainsFunc(v.RealServers, func(rs config.RealServer) bool { return rs.Name == server }) ||
			slices.ContainsFunc(v.SorryServers, func(s config.SorryServer) bool { return s.Name == server }))
	})
}

// expected is the table by the rules, from the configuration, the orders, the servers'
// health and the instance's role. Which of several dead servers the panic guard keeps
// depends on when they were found dead, which the status tells.
func expected(cfg *config.Config, down map[string]bool, orders map[string]string, role string, status *control.Checkers) string {
	t := tableOf("other: z1")
	for i, v := range cfg.VirtualServers {
		if v.ActiveWith != "" && role != "MASTER" {
			continue
		}
		e := t.Set(key(v.Name), ipvs.Service{Scheduler: "rr"})
		weights := make([]int, len(v.RealServers))
		up, all, trusted, trustedAll := 0, 0, 0, 0 // the latter as if nobody had drained anything
		drains := map[int]bool{}
		for j, rs := range v.RealServers {
			weights[j] = rs.Weight
			switch orders[v.Name+"/"+rs.Name] {
			case "weight 2":
				weights[j] = 2
			case "weight 150%":
				weights[j] = (rs.Weight*3 + 1) / 2
			}
			before := weights[j]
			switch orders[v.Name+"/"+rs.Name] {
			case "drain", "weight 0":
				weights[j], drains[j] = 0, true
			case "maintain":
				before, weights[j] = 0, 0
			}
			if trustedAll += before; !down[rs.Name] {
				trusted += before
			}
			if all += weights[j]; !down[rs.Name] {
				up += weights[j]
			}
		}
		quorum, guarded := up > 0, v.PanicShare() > 0 && all > 0
		kept := map[string]bool{}
		for up*100 < all*v.PanicShare() {
			last := -1
			for j, s := range status.Services[i].Servers {
				if down[s.Name] && !kept[s.Name] && weights[j] > 0 && (last < 0 || s.Since.After(status.Services[i].Servers[last].Since)) {
					last = j
				}
			}
			kept[v.RealServers[last].Name] = true
			up += weights[last]
		}
		for j, rs := range v.RealServers {
			d := ipvs.Destination{Weight: int32(weights[j])}
			lets := drains[j] && trusted*100 < trustedAll*v.PanicShare()
			if down[rs.Name] && !kept[rs.Name] && !lets || orders[v.Name+"/"+rs.Name] == "maintain" {
				d.Weight = 0
				if !rs.Inhibit {
					continue
				}
			}
			e.Dests[rs.Address] = d
		}
		answers := quorum || guarded
		for n, s := range v.SorryServers {
			weight := int32(1)
			switch orders[v.Name+"/"+s.Name] {
			case "drain", "weight 0": // whether it answered when that was ordered, the status tells
				if status.Services[i].SorryServers[n].Installed {
					e.Dests[s.Address] = ipvs.Destination{}
				}
				continue
			case "maintain":
				continue
			case "weight 2", "weight 150%":
				weight = 2
			}
			if !answers && (len(s.Checks) == 0 || !down["s"]) {
				e.Dests[s.Address] = ipvs.Destination{Weight: weight}
				answers = true
			}
		}
	}
	return tableText(t)
}

// consistent checks that status shows what the kernel has.
func consistent(t *rapid.T, s *control.Checkers, table ipvs.Table) {
	for _, v := range s.Services {
		e := table[key(v.Name)]
		if v.Standby && e == nil {
			continue
		}
		if v.Installed != (e != nil) {
			t.Errorf("service %s: installed = %v", v.Name, v.Installed)
			continue
		}
		for _, rs := range slices.Concat(v.Servers, v.SorryServers) {
			d, ok := e.Dests[address(rs.Name)]
			if rs.Installed != ok || ok && rs.KernelWeight != int(d.Weight) || !ok && rs.KernelWeight != -1 {
				t.Errorf("server %s/%s: installed %v with weight %d, the kernel has %v, %v", v.Name, rs.Name, rs.Installed, rs.KernelWeight, ok, d)
			}
		}
	}
}
