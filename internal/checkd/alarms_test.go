package checkd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/config"
)

// A certificate that ends soon is told once, however often director is started anew; one
// that was renewed meanwhile, or whose virtual server has gone, ends the alarm.
func TestCertificateIsNoNewsAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, "")
		farm := func(servers string) *config.Config {
			return configOf(servers, eachCheck(func(c *config.Check) { c.ExpiryDays, c.Interval = 14, config.Duration(20*time.Second) }))
		}
		const day = 24 * time.Hour
		begin := time.Now()
		ends := func(days int, servers ...string) {
			r := healthy
			r.Expires = begin.Add(time.Duration(days)*day + time.Hour)
			w.farm.set(r, servers...)
		}
		// start is a start of director after it was stopped or killed.
		start := func(what, servers, want string) {
			t.Helper()
			w.run()
			w.configure(farm(servers))
			w.pass(10 * time.Minute)
			if got := w.alarms(); got != want {
				t.Errorf("%s: alarms %q, want %q", what, got, want)
			}
		}
		ends(3, "a", "b", "c")
		w.run()
		w.configure(farm("web: a1 b1; dns: c1"))
		w.pass(10 * time.Minute)
		if got := w.alarms(); strings.Count(got, " raised certificate_ends: ") != 2 {
			t.Errorf("alarms %q", got)
		}
		since := w.inquire().Services[0].Expiring.Since
		w.kill()
		start("killed", "web: a1 b1; dns: c1", "")
		if s := w.inquire().Services[0]; s.Expiring == nil || !s.Expiring.Since.Equal(since) {
			t.Errorf("status %+v, raised %v", s.Expiring, since)
		}
		if err := w.stop(); err != nil {
			t.Error(err)
		}
		start("stopped", "web: a1 b1; dns: c1", "")
		w.kill()

		ends(2, "b")
		sooner := begin.Add(2*day + time.Hour).UTC().Format("2006-01-02 15:04 UTC")
		start("another one", "web: a1 b1; dns: c1", "web raised certificate_ends: a certificate of b ends on "+sooner+" (tcp 10.0.0.2:80); 1 more check warns as well")
		w.kill()
		start("no dns", "web: a1 b1", "dns clear certificate_ends: the virtual server is no more")
		w.kill()
		start("still no dns", "web: a1 b1", "")
		ends(400, "a")
		w.pass(time.Minute) // of the two, b's ends first
		w.kill()
		ends(400, "b")
		start("renewed", "web: a1 b1", "web clear certificate_ends: no check warns of a certificate any more")
		if _, err := os.Stat(filepath.Join(w.dir, alarmsName)); err == nil {
			t.Error("the record of alarms stays")
		}
		w.kill()

		// A file that cannot be read costs nothing but the news.
		if err := os.WriteFile(filepath.Join(w.dir, alarmsName), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		start("unreadable", "web: a1 b1", "")
		w.kill()
	})
}
