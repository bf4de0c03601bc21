package keepalived

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/config"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestEffective writes what is in force by each keepalived.conf as TOML: it is read as
// the same model, its secrets apart. keepalived's defaults are told from others.
func TestEffective(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 15 {
		t.Fatal(files, err)
	}
	said := 0
	for i, file := range files {
		if i%3 != 0 && !testing.Verbose() { // each takes some time
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := Parse(file, text, options())
		if err != nil {
			continue
		}
		tree, list := config.Effective(want, Positions(file, text, options()))
		got, err := config.Parse("written.toml", tree.Write())
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
			cmp.Comparer(func(a, b config.Secret) bool { return (a == "") == (b == "") })); d != "" {
			t.Errorf("%s (-want +got):\n%s", file, d)
		}
		for _, s := range list {
			if strings.HasPrefix(s.Key, "vrrp_instance.") && strings.HasSuffix(s.Key, ".garp.refresh") && s.From == config.FromKeepalived {
				said++
			}
			if strings.HasSuffix(s.Key, ".interface") && strings.HasPrefix(s.Key, "vrrp_instance") && strings.Count(s.Key, ".") == 2 && s.From != config.FromFile {
				t.Errorf("%s: %+v", file, s)
			}
		}
	}
	if said < 5 {
		t.Errorf("keepalived's default was told %d times", said)
	}
}
