package test

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// director started outside goes into the network namespace that its file names, with its children and scripts; it does not change
// the namespace at a reload, and says what is wrong with one that does not exist.
func TestNetworkNamespace(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	out := p.a.Path("namespace")
	script := "[vrrp_script.where]\nscript = [\"/bin/sh\", \"-c\", \"readlink /proc/self/ns/net >" + out + "\"]\nuser = \"root\"\n"
	conf := func(name string) string {
		return fmt.Sprintf("[global]\nnetwork_namespace = %q\n", name) + script +
			vrrp("VI_1", 51, 150, "192.0.2.100/24", fast, "track_script = [\"where\"]")
	}
	d := &director{t: t, host: p.a, configPath: p.a.Path("director.toml"), runtimeDir: p.a.Path("run")}
	start := func(toml string) {
		t.Helper()
		d.WriteConfig(toml)
		var err error
		// Out of the host's namespace, and back by the file alone.
		argv := append([]string{"nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", os.Getpid())}, d.argv("run", "-c", d.ConfigPath())...)
		if d.Process, err = p.a.Start("director", argv...); err != nil {
			t.Fatal(err)
		}
	}
	start(conf("no-such-namespace"))
	if code, err := d.Wait(patience); err != nil || code != 1 {
		t.Errorf("exit status %d, %v", code, err)
	}
	if want := `director.toml:2: global.network_namespace: "no-such-namespace" does not exist, allowed is one of`; !strings.Contains(d.Log(), want) {
		t.Errorf("the log does not say %q:\n%s", want, d.Log())
	}

	start(conf(p.a.Namespace()))
	d.WaitReady()
	d.WaitInstance("VI_1", "MASTER", patience)
	if !p.a.HasAddr(netip.MustParseAddr("192.0.2.100")) {
		t.Error("the address is not in the namespace")
	}
	want, err := p.a.Run("readlink", "/proc/self/ns/net")
	p.Must(err)
	if got, err := os.ReadFile(out); err != nil || string(got) != want {
		t.Errorf("scripts run in %q, %v, want %q", got, err, want)
	}
	if err := d.Reload(conf("other")); err == nil || !strings.Contains(err.Error(), "allowed is a restart") {
		t.Errorf("a reload into another namespace: %v", err)
	}
}
