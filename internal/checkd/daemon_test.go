package checkd

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/watchdog"
	"director/ipvs"
	"director/ipvs/ipvstest"
	"director/ipvs/kernel"
)

const (
	addService = "-A -t 192.0.2.1:80 -s rr"
	addA       = "-a -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1"
	addB       = "-a -t 192.0.2.1:80 -r 10.0.0.2:80 -m -w 1"
	deleteA    = "-d -t 192.0.2.1:80 -r 10.0.0.1:80"
	deleteB    = "-d -t 192.0.2.1:80 -r 10.0.0.2:80"
)

// New servers come in after their second good result, which is asked for
// quickly; only then is the configuration acknowledged.
func TestStartWithAnEmptyTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(refused, "c")
		w.run()
		w.configure(configOf("web: a1 b1 c1"))
		w.table("web:")
		w.acks()
		w.pass(quick - time.Millisecond)
		w.table("web:")
		w.pass(time.Millisecond)
		w.table("web: a1 b1")
		if log := w.kernel.Log(); strings.Count(log, "\n") != 3 || !strings.Contains(log, addService) || !strings.Contains(log, addA) || !strings.Contains(log, addB) {
			t.Errorf("operations\n%s", log) // a and b in either order
		}
		if got, want := w.events(), "web/c unknown>down, web/a unknown>up, web unknown>up, web/b unknown>up"; got != want {
			// a and b answer at the same moment, in any order
			if strings.ReplaceAll(got, "web/b", "web/a") != strings.ReplaceAll(want, "web/b", "web/a") {
				t.Errorf("events %q, want %q", got, want)
			}
		}
		w.kill()
	})
}

func TestFirstAckComesWithTheFirstServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.acks()
		w.pass(quick)
		w.acks(1)
		w.kill()
	})
}

func TestFirstAckWaitsForALimitedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.delay["a"] = time.Minute // nobody answers
		w.run()
		w.configure(configOf("web: a1"))
		w.pass(settleLimit - time.Millisecond)
		w.acks()
		w.pass(time.Millisecond)
		w.acks(1)
		w.kill()
	})
}

func TestDeadAndAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(time.Minute)
		w.table("web: a1 b1")
		w.kernel.Log()
		w.events()

		w.farm.set(refused, "a")
		w.pass(10 * time.Second) // two or three failures: not before the third
		start := time.Now()
		for tableText(w.kernel.Table()) == "web: a1 b1" {
			w.pass(100 * time.Millisecond)
		}
		if late := time.Since(start); late > 5*time.Second {
			t.Errorf("removed %s after three intervals at the latest", late)
		}
		w.ops(deleteA)
		if got := w.events(); got != "web/a up>down" {
			t.Errorf("events %q", got)
		}
		w.farm.starts("a")
		w.farm.set(healthy, "a")
		w.pass(10 * time.Second)
		if n := w.farm.starts("a"); n != 2 {
			t.Errorf("%d probes in 10 s", n)
		}
		w.table("web: a1 b1")
		w.ops(addA)
		if got := w.events(); got != "web/a down>up" {
			t.Errorf("events %q", got)
		}
		w.kill()
	})
}

func TestQuorumAndSorryServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1", sorry("s"), func(c *config.Config) { c.VirtualServers[0].Quorum = 2 }))
		w.pass(time.Minute)
		w.table("web: a1 b1")
		w.events()
		w.farm.set(refused, "a")
		w.pass(20 * time.Second)
		w.table("web: s1")
		if got := w.events(); got != "web/a up>down, web up>sorry" {
			t.Errorf("events %q", got)
		}
		s := w.inquire().Services[0]
		if s.State != "sorry" || s.UpWeight != 1 || !s.SorryServers[0].Installed || s.SorryServers[0].KernelWeight != 1 || s.Servers[1].Installed || s.Servers[1].Health != "up" {
			t.Errorf("status %+v", s)
		}
		w.farm.set(healthy, "a")
		w.pass(20 * time.Second)
		w.table("web: a1 b1")
		w.kill()
	})
}

func TestInhibit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		w.configure(configOf("web: a1 b1", func(c *config.Config) { c.VirtualServers[0].RealServers[0].Inhibit = true }))
		w.pass(time.Minute)
		w.kernel.Log()
		w.farm.set(refused, "a")
		w.pass(20 * time.Second)
		w.table("web: a0 b1")
		w.ops("-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 0")
		w.kill()
	})
}

// The table found is the table kept: not one operation, and an immediate Ack.
func TestAdoption(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1 b1; other: z1")
		w.farm.set(refused, "c")
		w.run()
		w.configure(configOf("web: a1 b1 c1"))
		w.acks(1)
		w.pass(time.Hour)
		w.table("web: a1 b1; other: z1")
		w.ops()
		w.kill()
	})
}

func TestAdoptionOfWhatIsDeadByNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1 b1")
		w.farm.set(refused, "a")
		w.run()
		w.configure(configOf("web: a1 b1"))
		w.pass(10 * time.Second) // at most three results
		w.table("web: a1 b1")
		w.pass(5 * time.Second)
		w.table("web: b1")
		w.ops(deleteA)
		w.kill()
	})
}

func TestAdoptionPutsSettingsRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a7 b1 z1")
		w.run()
		cfg := configOf("web: a1 b1")
		cfg.VirtualServers[0].Scheduler = "wlc"
		w.configure(cfg)
		w.table("web: a1 b1")
		w.ops("-E -t 192.0.2.1:80 -s wlc", "-e -t 192.0.2.1:80 -r 10.0.0.1:80 -m -w 1", "-d -t 192.0.2.1:80 -r 10.0.0.26:80")
		if got := w.inquire(); got.Repairs != 0 {
			t.Errorf("%d repairs: what is found at the start is nobody's fault", got.Repairs)
		}
		w.kill()
	})
}

// A killed checker changes nothing: no operation, no event, the dead stay out.
func TestRespawn(t *testing.T) {
	for _, resume := range []bool{true, false} {
		t.Run(fmt.Sprintf("resume=%v", resume), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "")
				w.farm.set(refused, "b", "d")
				w.run()
				cfg := configOf("web: a1 b1; dns: d1", sorry("s"))
				w.configure(cfg)
				w.pass(time.Minute)
				w.table("web: a1; dns:")
				last := w.inquire()
				w.kill()
				w.kernel.Log()

				w.run()
				if resume {
					w.configure(cfg, last)
				} else {
					w.configure(cfg)
				}
				w.table("web: a1; dns:")
				w.pass(time.Minute)
				w.table("web: a1; dns:")
				w.ops()
				events := w.events()
				if resume && events != "" {
					t.Errorf("events %q", events)
				}
				if got := strings.Count(events, ">"); !resume && got != 5 { // three servers, two services
					t.Errorf("without memory: events %q", events)
				}
				w.farm.set(healthy, "b")
				w.pass(10 * time.Second)
				w.table("web: a1 b1; dns:")
				w.ops(addB)
				w.kill()
			})
		})
	}
}

func TestRespawnKeepsWhatStatusShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.farm.set(refused, "b")
		w.run()
		cfg := configOf("web: a1 b1")
		w.configure(cfg)
		w.pass(time.Minute)
		before := w.inquire().Services[0]
		w.kill()
		w.run()
		w.configure(cfg, &control.Checkers{Services: []control.Service{before}})
		after := w.inquire().Services[0]
		for i, s := range after.Servers {
			was := before.Servers[i]
			if s.Health != was.Health || !s.Since.Equal(was.Since) || s.Reason != was.Reason || s.Checks[0] != was.Checks[0] {
				t.Errorf("server %s:\n%+v\nwas\n%+v", s.Name, s, was)
			}
		}
		if after.State != before.State || after.Reason != before.Reason || !after.Since.Equal(before.Since) {
			t.Errorf("service %+v, was %+v", after, before)
		}
		w.kill()
	})
}

func TestParentDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1")
		w.run()
		w.configure(configOf("web: a1"))
		w.parent.hangUp()
		if err := <-w.ended; !errors.Is(err, io.EOF) {
			t.Errorf("Run returned %v", err)
		}
		w.table("web: a1")
		w.cancel()
	})
}

func TestStop(t *testing.T) {
	tests := []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"removes what is ours", func(*config.Config) {}, "other: z1"},
		{"keeps it when asked to", func(c *config.Config) { c.Global.KeepIPVSOnStop = true }, "web: a1 b1; dns: c1; other: z1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, "web: a1 b1; other: z1")
				w.run()
				w.configure(configOf("web: a1 b1; dns: c1", test.change))
				w.pass(time.Second)
				if err := w.stop(); err != nil {
					t.Error(err)
				}
				w.table(test.want)
				owned, err := readRecord(w.dir)
				if keeps := strings.Contains(test.want, "web"); err != nil || (len(owned) > 0) != keeps {
					t.Errorf("record %v, %v", owned, err)
				}
			})
		})
	}
}

func TestStopSaysWhatItCouldNotRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "web: a1")
		w.kernel.OnApply = func(o ipvs.Op) error {
			if o.Kind == ipvs.DeleteService {
				return syscall.ENOBUFS
			}
			return nil
		}
		w.run()
		w.configure(configOf("web: a1"))
		if err := w.stop(); !errors.Is(err, syscall.ENOBUFS) {
			t.Errorf("Run returned %v", err)
		}
		if owned, _ := readRecord(w.dir); !owned.Has(key("web")) {
			t.Error("the record was removed: the next start would not know the service")
		}
	})
}

func TestNoIPVS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.open = func(string) (Kernel, error) { return nil, fmt.Errorf("ipvs: open: %w", kernel.ErrNoIPVS) }
		w.run()
		w.configure(configOf("web: a1"))
		if err := <-w.ended; !errors.Is(err, ErrFinal) || !errors.Is(err, kernel.ErrNoIPVS) {
			t.Errorf("Run returned %v", err)
		}
		got := w.parent.take(whatever)
		if len(got) != 1 || got[0].Ack == nil || !got[0].Ack.Final || !strings.Contains(got[0].Ack.Error, "the kernel has no IPVS") {
			t.Errorf("sent %+v", got)
		}
		w.parent.hangUp()
		w.cancel()
	})
}

func TestNoIPVSNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		opened := 0
		w.open = func(string) (Kernel, error) { opened++; return nil, kernel.ErrNoIPVS }
		w.run()
		w.configure(configOf(""))
		w.acks(1)
		if opened != 0 {
			t.Error("the kernel was asked though nobody needs it")
		}
		// A reload that needs it is refused, and the old generation stays.
		w.configure(configOf("web: a1"))
		got := w.parent.take(whatever)
		if ack := got[len(got)-1].Ack; ack == nil || ack.Generation != 2 || ack.Error == "" || ack.Final {
			t.Errorf("sent %+v", got[len(got)-1])
		}
		if g := w.inquire().Generation; g != 1 {
			t.Errorf("generation %d is in force", g)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestPingIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		for seq := range uint64(3) {
			w.parent.down <- watchdog.Message{Ping: &watchdog.Ping{Seq: seq}}
			synctest.Wait()
			if got := w.parent.take(whatever); len(got) != 1 || got[0].Pong == nil || got[0].Pong.Seq != seq {
				t.Errorf("sent %+v", got)
			}
		}
		w.kill()
	})
}

func TestRefusesTwoOfTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		w.run()
		cfg := configOf("web: a1; dns: b1")
		cfg.VirtualServers[1].Address = cfg.VirtualServers[0].Address
		w.configure(cfg)
		got := w.parent.take(whatever)
		if len(got) != 1 || got[0].Ack == nil || got[0].Ack.Error != `virtual servers "web" and "dns" are both 192.0.2.1:80/tcp` {
			t.Errorf("sent %+v", got)
		}
		w.kill()
	})
}

var _ Kernel = (*ipvstest.Kernel)(nil)
var _ Kernel = (*kernel.Kernel)(nil)
var _ Channel = (*watchdog.Channel)(nil)
