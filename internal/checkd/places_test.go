package checkd

import (
	"strings"
	"testing"
	"testing/synctest"

	"director/config"
)

// A drain under a scheduler that does not pass over weight 0 refuses clients: the answer
// says so, and how to mend it.
func TestDrainUnderHashing(t *testing.T) {
	for name, c := range map[string]struct {
		scheduler string
		flags     []string
		inhibit   bool
		order     string
		told      string // "": nothing
	}{
		"sh":                   {"sh", nil, false, "drain web a", "sh-fallback"},
		"mh":                   {"mh", []string{"mh-port"}, false, "drain web a", "mh-fallback"},
		"dh":                   {"dh", nil, false, "drain web a", "with dh they cannot"},
		"maintained in place":  {"sh", nil, true, "maintain web a", "sh-fallback"},
		"passed over":          {"sh", []string{"sh-fallback"}, false, "drain web a", ""},
		"by number":            {"mh", []string{"flag-1"}, false, "drain web a", ""},
		"by weight":            {"wlc", nil, false, "drain web a", ""},
		"out of the table":     {"sh", nil, false, "maintain web a", ""},
		"another weight":       {"sh", nil, false, "weight web a 2", ""},
		"weight 0, as a drain": {"sh", nil, false, "weight web a 0", "sh-fallback"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := started(t, "web: a4 b4 c4", func(cfg *config.Config) {
				v := &cfg.VirtualServers[0]
				v.Scheduler, v.SchedulerFlags = c.scheduler, c.flags
				for i := range v.RealServers {
					v.RealServers[i].Inhibit = c.inhibit
				}
			})
			r := w.obeys(c.order)
			if c.told == "" && len(r.Notes) > 0 || c.told != "" && (len(r.Notes) != 1 || !strings.Contains(r.Notes[0], c.told)) {
				t.Errorf("%s: notes %q", name, r.Notes)
			}
			w.kill()
		})
	}
}
