package test

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"director/internal/netlab"
	"director/internal/netlab/labtest"
)

var update = flag.Bool("update", false, "write docs/transcript.md anew")

// transcriptPage is what TestTranscript holds.
const transcriptPage = "../docs/transcript.md"

// TestTranscript does what README.md says, as somebody does who knows nothing else, on two directors and two web servers; then
// breaks it in the ways that users meet, and wants director's commands to name each cause. What they print is the page.
func TestTranscript(t *testing.T) {
	t.Parallel()
	if !labtest.RequireIPVSWriting(t, writable(t), filepath.Dir(binary(t))) {
		return
	}
	s := newStory(t)
	s.setUp()
	fmt.Println(s.page.String())
	s.explore()
}

func writable(t *testing.T) string {
	if !*update {
		return ""
	}
	dir, err := filepath.Abs(filepath.Dir(transcriptPage))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// readme returns the fenced blocks of a language in the README's section for new users.
func readme(t testing.TB, lang string) []string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Two hosts, one address\n")
	var blocks []string
	for _, part := range strings.Split(section, "\n```"+lang+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```\n")
		blocks = append(blocks, block+"\n")
	}
	return blocks
}

// A story is the README's two directors and two web servers, with a client, and the page that tells what is done with them.
type story struct {
	*labtest.Lab
	t      *testing.T
	hosts  map[string]*netlab.Host
	ports  map[string]*netlab.Port
	daemon map[string]*director
	nginx  map[string]*netlab.Nginx
	client *netlab.Host
	page   strings.Builder
}

func newStory(t *testing.T) *story {
	s := &story{Lab: labtest.New(t, "story"), t: t, hosts: map[string]*netlab.Host{}, ports: map[string]*netlab.Port{}, daemon: map[string]*director{}, nginx: map[string]*netlab.Nginx{}}
	sw := s.Switch("lan")
	for name, addr := range map[string]string{"lb1": "192.0.2.1", "lb2": "192.0.2.2", "web1": "192.0.2.11", "web2": "192.0.2.12", "client": "192.0.2.100"} {
		s.hosts[name] = s.Host(name)
		s.ports[name] = s.Connect(s.hosts[name], "eth0", sw, addr+"/24")
	}
	s.client = s.hosts["client"]
	for _, name := range []string{"web1", "web2"} {
		n, err := s.hosts[name].Nginx(netip.MustParseAddrPort("0.0.0.0:80"), name, netlab.NginxOptions{})
		s.Must(err)
		s.Must(os.WriteFile(s.hosts[name].Path("nginx/www/healthz"), []byte("ok\n"), 0o644))
		s.nginx[name] = n
	}
	return s
}

func (s *story) setUp() {
	t := s.t
	conf := readme(t, "toml")[0]
	for _, name := range []string{"lb1", "lb2"} {
		if name == "lb2" {
			conf = strings.Replace(conf, "= 100", "= 90", 1)
		}
		h := s.hosts[name]
		s.daemon[name] = &director{t: t, host: h, configPath: h.Path("director.toml"), runtimeDir: h.Path("run")}
		s.daemon[name].WriteConfig(conf)
	}
	for _, block := range readme(t, "sh") {
		fmt.Println(block)
	}
	for _, name := range []string{"web1", "web2"} {
		s.Run(s.hosts[name], "sysctl", "-w", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
		s.Run(s.hosts[name], "ip", "addr", "add", "192.0.2.80/32", "dev", "lo")
	}
	for _, name := range []string{"lb1", "lb2"} {
		d := s.daemon[name]
		s.show(name, "director check")
		s.show(name, "director doctor")
		s.show(name, "sysctl -w net.ipv4.conf.eth0.accept_local=1")
		s.show(name, "director doctor")
		var err error
		d.Process, err = d.host.StartEnv("director", nil, "unshare", "--uts", "sh", "-c", "hostname "+name+" && exec \"$@\"", "--", binary(t), "run", "--runtime-dir", d.RuntimeDir(), "-c", d.ConfigPath())
		s.Must(err)
		d.WaitReady()
	}
}

func (s *story) show(host, command string) string {
	words := strings.Fields(command)
	d := s.daemon[host]
	if words[0] == "director" {
		words[0] = binary(s.t)
		if words[1] == "check" || words[1] == "doctor" {
			words = append(words, "-c", d.ConfigPath())
		}
		if words[1] != "check" {
			words = append(words, "--runtime-dir", d.RuntimeDir())
		}
	}
	out, err := s.hosts[host].Run(words...)
	fmt.Fprintf(&s.page, "%s# %s\n%s", host, command, out)
	if err != nil {
		fmt.Fprintf(&s.page, "(%v)\n", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	return out
}

func (s *story) look(title string, shows ...string) {
	s.page.Reset()
	for _, c := range shows {
		host, command, _ := strings.Cut(c, ": ")
		s.show(host, command)
	}
	fmt.Printf("\n######## %s\n%s\n", title, s.page.String())
}

func (s *story) explore() {
	s.daemon["lb1"].WaitInstance("web", "MASTER", patience)
	s.daemon["lb2"].WaitInstance("web", "BACKUP", patience)
	for _, name := range []string{"lb1", "lb2"} {
		s.daemon[name].WaitServers()
	}
	all := []string{"lb1: director status", "lb1: director events -n 5", "lb1: director explain web", "lb1: director doctor", "lb2: director status", "lb2: director events -n 5", "lb2: director explain web", "lb2: director doctor"}
	s.look("well", all...)
	s.Must(s.nginx["web1"].Stop(5 * time.Second))
	time.Sleep(5 * time.Second)
	s.look("web1 dead", append(all, "lb1: director explain web/192.0.2.11:80")...)
	n, err := s.hosts["web1"].Nginx(netip.MustParseAddrPort("0.0.0.0:80"), "web1", netlab.NginxOptions{})
	s.Must(err)
	s.nginx["web1"] = n
	s.Must(os.WriteFile(s.hosts["web1"].Path("nginx/www/healthz"), []byte("ok\n"), 0o644))
	s.Run(s.hosts["web2"], "ip", "addr", "del", "192.0.2.80/32", "dev", "lo")
	time.Sleep(6 * time.Second)
	s.look("web2 no vip", all...)
	s.Run(s.hosts["web2"], "ip", "addr", "add", "192.0.2.80/32", "dev", "lo")
	s.Run(s.hosts["lb1"], "ip", "addr", "del", "192.0.2.80/24", "dev", "eth0")
	time.Sleep(4 * time.Second)
	s.look("vip deleted", all...)
	conf := readme(s.t, "toml")[0]
	s.daemon["lb1"].WriteConfig(strings.Replace(conf, `scheduler   = "wlc"`, `schedular   = "wlcc"`, 1))
	s.look("bad reload", "lb1: director reload", "lb1: director check", "lb1: director status", "lb1: director events -n 3", "lb1: director doctor")
	s.daemon["lb1"].WriteConfig(conf)
	s.look("good reload", "lb1: director reload", "lb1: director status")
	s.look("release", "lb1: director vrrp release web", "lb1: director status", "lb1: director vrrp auto web", "lb1: director events -n 6")
	conf2 := strings.Replace(conf, "= 100", "= 90", 1)
	s.daemon["lb2"].WriteConfig(strings.Replace(conf2, "= 51", "= 52", 1))
	s.look("vrid", "lb2: director reload")
	time.Sleep(7 * time.Second)
	s.look("vrid", append(all, "lb1: director check --peer "+s.daemon["lb2"].ConfigPath())...)
	s.daemon["lb2"].WriteConfig(strings.Replace(conf2, "= 51", "= 51\nversion = 2\nauthentication = { type = \"PASS\", password = \"secret\" }", 1))
	s.daemon["lb1"].WriteConfig(strings.Replace(conf, "= 51", "= 51\nversion = 2\nauthentication = { type = \"PASS\", password = \"Secret\" }", 1))
	s.look("pw", "lb2: director reload", "lb1: director reload")
	time.Sleep(7 * time.Second)
	s.look("pw", append(all, "lb1: director check --peer "+s.daemon["lb2"].ConfigPath())...)
	s.daemon["lb1"].WriteConfig(conf)
	s.daemon["lb2"].WriteConfig(conf2)
	s.look("pw", "lb2: director reload", "lb1: director reload")
	time.Sleep(3 * time.Second)
	_, err = s.WriteFw("lb2")
	s.Must(err)
	time.Sleep(8 * time.Second)
	s.look("fw", all...)
	s.Run(s.hosts["lb2"], "nft", "flush", "ruleset")
	time.Sleep(3 * time.Second)
	s.Must(s.ports["lb1"].Cut())
	time.Sleep(8 * time.Second)
	s.look("cut", all...)
	s.Must(s.ports["lb1"].Heal())
	time.Sleep(4 * time.Second)
	s.look("healed", all...)
}

func (s *story) WriteFw(host string) (string, error) {
	path, err := s.hosts[host].WriteFile("fw.nft", "table inet filter {\n chain input { type filter hook input priority 0; policy accept; ip protocol vrrp drop\n }\n}\n")
	s.Must(err)
	return s.hosts[host].Run("nft", "-f", path)
}
