package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"director/internal/doctor"
	"director/internal/netlab/labtest"
)

// Another host has the virtual address, and --probe finds it; as an ordinary user
// doctor says what it could not look at.
func TestDoctorProbe(t *testing.T) {
	lab := labtest.New(t, "drprobe")
	a, b, sw := lab.Host("a"), lab.Host("b"), lab.Switch("lan")
	lab.Connect(a, "eth0", sw, "192.0.2.1/24")
	lab.Connect(b, "eth0", sw, "192.0.2.2/24")
	lab.Must(b.AddAddr("eth0", netip.MustParsePrefix("192.0.2.80/24")))
	mac, err := b.MAC("eth0")
	lab.Must(err)
	exe, err := os.Executable()
	lab.Must(err)
	dir := folder(t)
	lab.Must(os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "d.toml")
	lab.Must(os.WriteFile(path, []byte("[vrrp_instance.web]\ninterface = \"eth0\"\nvirtual_router_id = 51\nvirtual_ipaddress = [\"192.0.2.80/24\", \"192.0.2.81/24\"]\n"), 0o644))
	doctorSays := func(argv ...string) doctor.Report {
		t.Helper()
		out, _ := a.Run(append([]string{"env", "DIRECTOR_TEST_MAIN=1", "DIRECTOR_RUNTIME_DIR=" + dir}, argv...)...)
		var r doctor.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return r
	}
	has := func(r doctor.Report, found string) bool {
		for _, f := range r.Findings {
			if f.ID == "vip-answered" && f.Found == found {
				return true
			}
		}
		return false
	}
	// probed asks again on a busy machine, where the answer may come after the doctor's patience.
	probed := func(config, found string) (r doctor.Report) {
		t.Helper()
		for tries := 0; tries < 5 && !has(r, found); tries++ {
			r = doctorSays(exe, "doctor", "--json", "-c", config, "--probe")
		}
		return r
	}
	answers := mac.String() + " answers for 192.0.2.80 on eth0"
	if r := probed(path, answers); !has(r, answers) || r.Running {
		t.Errorf("not found: %s\n%+v", answers, r)
	}
	if r := doctorSays(exe, "doctor", "--json", "-c", path); has(r, answers) {
		t.Error("it asked without --probe")
	}
	// It is a real server of direct routing: then it has to keep still, and does.
	farm := filepath.Join(dir, "farm.toml")
	text, err := os.ReadFile(path)
	lab.Must(err)
	lab.Must(os.WriteFile(farm, append(text, "[virtual_server.web]\naddress = \"192.0.2.80:80\"\nforwarding = \"dr\"\nreal_server = [\"192.0.2.2\"]\ncheck = { type = \"tcp\" }\n"...), 0o644))
	still := "the real server 192.0.2.2 answers for 192.0.2.80 on eth0 (" + mac.String() + "), unless that is the other director"
	if r := probed(farm, still); !has(r, still) || has(r, answers) {
		t.Errorf("not found: %s\n%+v", still, r.Findings)
	}
	lab.Run(b, "ip", "addr", "del", "192.0.2.80/24", "dev", "eth0")
	lab.Run(b, "ip", "addr", "add", "192.0.2.80/32", "dev", "lo")
	if r := probed(farm, still); !has(r, still) {
		t.Errorf("not found with the address on lo: %s\n%+v", still, r.Findings)
	}
	for _, cure := range []string{"net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"} {
		lab.Run(b, "sysctl", "-w", cure)
	}
	if r := doctorSays(exe, "doctor", "--json", "-c", farm, "--probe"); has(r, still) || has(r, answers) {
		t.Errorf("it keeps still: %+v", r.Findings)
	}
	lab.Run(b, "ip", "addr", "add", "192.0.2.80/24", "dev", "eth0")
	// A copy, because the test's own folder is root's alone.
	text, err = os.ReadFile(exe)
	lab.Must(err)
	own := filepath.Join(dir, "director")
	lab.Must(os.WriteFile(own, text, 0o755))
	lab.Must(os.Chmod(own, 0o755)) // whatever the umask
	lab.Must(os.Chmod(path, 0o644))
	r := doctorSays("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", own, "doctor", "--json", "-c", path, "--probe")
	unseen := make(map[string]bool)
	for _, u := range r.Unseen {
		unseen[u.What] = true
	}
	if !unseen["secrets and scripts"] || !unseen["who answers for virtual addresses"] || has(r, answers) {
		t.Errorf("as an ordinary user: %+v", r)
	}
}
