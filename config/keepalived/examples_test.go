package keepalived

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"director/config"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const examples = "../../etc/examples"

// example reads one file of the examples, in the language of its ending.
func example(t *testing.T, path string) config.Side {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := config.Side{Name: path, Find: config.Positions(path, text)}
	var warnings []config.Warning
	if strings.HasSuffix(path, ".conf") {
		s.Find = Positions(path, text, options())
		s.Config, warnings, err = Parse(path, text, options())
	} else {
		s.Config, warnings, err = config.ParseWithWarnings(path, text)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		t.Error(w)
	}
	return s
}

// plain takes away what differs by the languages' defaults, and what only director has: both are told in
// docs/migrating.md.
func plain(c *config.Config) *config.Config {
	c.Targets = nil
	for i := range c.Scripts {
		if c.Scripts[i].Name == "gateway" { // a track_target, in TOML
			c.Scripts = nil
			break
		}
	}
	c.Notify.Mail = mailOf(c.Notify.Mail)
	for i := range c.Instances {
		in := &c.Instances[i]
		in.Garp.Refresh, in.HigherPrioSendAdvert, in.PromoteSecondaries, in.InitialState, in.Mail = 0, false, false, "", false
		in.Gates, in.Heartbeats, in.TrackTargets, in.Notify.Alarm = nil, nil, nil, nil
		if len(in.TrackScripts) == 1 && in.TrackScripts[0].Name == "gateway" {
			in.TrackScripts = nil
		}
		if len(in.Notify.All) == 0 {
			in.Notify.User = ""
		}
	}
	for i := range c.VirtualServers {
		vs := &c.VirtualServers[i]
		vs.Name, vs.Checks, vs.Mail = "", nil, false // the checks are the servers'
		for j := range vs.RealServers {
			rs := &vs.RealServers[j]
			rs.Checks = slices.Clone(rs.Checks)
			for k := range rs.Checks {
				ch := &rs.Checks[k]
				ch.Rise, ch.HTTPVersion = 0, ""
			}
		}
	}
	slices.SortFunc(c.VirtualServers, func(a, b config.VirtualServer) int {
		return strings.Compare(fmt.Sprint(a.Address, a.FWMark), fmt.Sprint(b.Address, b.FWMark))
	})
	c.Global.ScriptUser = ""
	return c
}

// mailOf leaves out which kinds of events are mailed.
func mailOf(m *config.Mail) *config.Mail {
	if m == nil {
		return nil
	}
	c := *m
	c.Events = nil
	return &c
}

// converts asks that a file says the same after its conversion.
func converts(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	root, want, _, err := Convert(path, text, options())
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Parse("converted.toml", root.Write())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, same()...); d != "" {
		t.Errorf("%s says something else when it is converted (-want +got):\n%s", path, d)
	}
}

// TestExamples reads each example in both languages: they mean the same, apart from defaults, and the files of the
// two hosts fit together, also when one of them has the TOML and the other one the keepalived.conf.
func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob(examples + "/[0-9]*")
	if err != nil || len(dirs) < 12 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			for _, host := range []string{"a", "b"} {
				path := filepath.Join(dir, host)
				if _, err := os.Stat(path + ".toml"); err != nil && host == "b" {
					return // one host alone
				}
				converts(t, path+".conf")
				native, twin := plain(example(t, path+".toml").Config), plain(example(t, path+".conf").Config)
				if d := cmp.Diff(native, twin, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
					t.Errorf("%s.toml and %s.conf mean something else (-toml +conf):\n%s", host, host, d)
				}
			}
			for _, pair := range [][2]string{{"a.toml", "b.toml"}, {"a.conf", "b.conf"}, {"a.toml", "b.conf"}, {"a.conf", "b.toml"}} {
				errs, warnings := config.ComparePeers(example(t, filepath.Join(dir, pair[0])), example(t, filepath.Join(dir, pair[1])))
				for _, e := range errs {
					t.Errorf("%s and %s: %v", pair[0], pair[1], e)
				}
				for _, w := range warnings {
					if pair[0][1:] != pair[1][1:] && strings.HasSuffix(w.Key, ".heartbeat") {
						continue // keepalived has no such paths
					}
					t.Errorf("%s and %s: %v", pair[0], pair[1], w)
				}
			}
		})
	}
}
