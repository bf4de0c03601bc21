package keepalived

import (
	"fmt"
	"strings"
	"testing"
)

// keepalived drops an instance's own interface from those that it tracks, which matters with a weight and with
// dont_track_primary; a sync group keeps it.
func TestOwnInterfaceIsNotTracked(t *testing.T) {
	cfg, warnings, err := Parse("x.conf", []byte(`
vrrp_sync_group g {
  group {
    v
  }
  track_interface {
    eth0 weight 10
  }
}
vrrp_instance v {
  track_interface {
    eth0 weight 20
    eth1
  }
  interface eth0
  virtual_router_id 1
  dont_track_primary
  virtual_ipaddress {
    192.0.2.1
  }
}
`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	own, group := cfg.Instances[0].TrackInterfaces, cfg.Groups[0].TrackInterfaces
	if len(own) != 1 || own[0].Name != "eth1" || len(group) != 1 || group[0].Weight != 10 {
		t.Errorf("tracked by the instance %+v, by the group %+v", own, group)
	}
	if said := fmt.Sprint(warnings); !strings.Contains(said, "eth0 is the instance's own interface and is not used here") {
		t.Errorf("warnings: %s", said)
	}
}
