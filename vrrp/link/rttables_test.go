package link

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestRouteTables(t *testing.T) {
	host := fstest.MapFS{
		"usr/share/iproute2/rt_tables":          {Data: []byte("255\tlocal\n7 vendor\n9 both\n")},
		"etc/iproute2/rt_tables":                {Data: []byte("# reserved\n254 main # the usual one\n0x10 hex\nnonsense\n-1 negative\n99999999999 huge\n")},
		"etc/iproute2/rt_tables.d/uplinks.conf": {Data: []byte("100 isp1\n10 both")},
		"etc/iproute2/rt_tables.d/README":       {Data: []byte("5 readme")},
	}
	got, err := RouteTables(host)
	want := map[string]uint32{"local": 255, "vendor": 7, "main": 254, "hex": 16, "isp1": 100, "both": 10}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("error %v, tables (-want +got):\n%s", err, d)
	}
	if got, err := RouteTables(fstest.MapFS{}); err != nil || len(got) != 0 {
		t.Errorf("without files: %v, %v", got, err)
	}
	if _, err := RouteTables(fstest.MapFS{"etc/iproute2/rt_tables/x": {}}); err == nil {
		t.Error("a file that cannot be read is not told")
	}
}
