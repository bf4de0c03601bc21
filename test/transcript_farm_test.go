package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"director/internal/netlab/labtest"
)

// TestTranscript does what the README says, on two directors and two web servers, then breaks it in ways that users meet and
// wants director's commands to name each cause. What they print is docs/transcript.md. Beside it, it does what the pages on farms say.
func TestTranscript(t *testing.T) {
	t.Parallel()
	docs := ""
	if *update {
		var err error
		if docs, err = filepath.Abs("../docs"); err != nil {
			t.Fatal(err)
		}
	}
	if !labtest.RequireIPVSWriting(t, docs, filepath.Dir(binary(t))) {
		return
	}
	t.Run("README.md", func(t *testing.T) {
		t.Parallel()
		tellFarm(t)
	})
	for _, page := range farmPages {
		t.Run(page.name, func(t *testing.T) {
			t.Parallel()
			testFarmPage(t, page)
		})
	}
}

func tellFarm(t *testing.T) {
	s := newStory(t, 2, func(text string) string { return text })
	s.say(`# A web farm, set up and broken

What the [README](../README.md) says, done on two directors and two web servers, and what its commands print; then four faults that users meet, how each one shows and how it is
repaired, and a planned change. A test does all of it and holds this page. Times, process numbers and counters are made alike; of what ` + "`director doctor`" + ` finds, what is about the test's own machine is
left out. [transcript-pair.md](transcript-pair.md) has the faults between two directors.

` + "`lb1`, `lb2`, `web1` and so on are the hosts; lb1 and lb2 have the file of the README, lb2 with `priority = 90`." + `

## Set up`)
	s.setUp()
	s.serverDies()
	s.addressMissing()
	s.addressDeleted()
	s.badReload()
	s.handOver()
	holdPage(t, "transcript.md", s.text())
}

// setUp does each line of the README's commands.
func (s *story) setUp() {
	for _, block := range readme(s.t, "sh") {
		for line := range strings.Lines(block) {
			command, _, _ := strings.Cut(line, "#")
			s.follow(strings.TrimSpace(command))
		}
	}
}

// follow does one line of the README where it belongs.
func (s *story) follow(command string) {
	s.t.Helper()
	directors := []string{"lb1", "lb2"}
	switch command {
	case "make install": // the kernel settings of it; its files are the business of TestInstall and of the packages' tests
		text, err := os.ReadFile("../etc/director.sysctl")
		s.Must(err)
		for line := range strings.Lines(string(text)) {
			if key, value, is := strings.Cut(line, "="); is && !strings.HasPrefix(line, "#") {
				for _, name := range directors {
					s.Must(s.hosts[name].Sysctl(strings.TrimSpace(key), strings.TrimSpace(value)))
				}
			}
		}
	case "systemctl restart systemd-modules-load systemd-sysctl": // as above
	case "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2", "ip addr add 192.0.2.80/32 dev lo":
		for _, name := range []string{"web1", "web2"} {
			s.show(name, command)
		}
	case "director check":
		s.say("On both directors, of which lb1 is shown:")
		s.show("lb1", command, "valid: 1 VRRP instance, 1 virtual server")
		s.run("lb2", command)
	case "director doctor":
		s.cured("lb1")
		s.cured("lb2")
	case "systemctl enable --now director":
		for _, name := range directors {
			s.tell(name, command, "")
			s.start(name)
		}
		s.lb["lb1"].WaitInstance("web", "MASTER", patience)
		for _, name := range directors {
			s.lb[name].WaitServers()
		}
	case "director status":
		s.await("lb1", command, "web MASTER", "192.0.2.80:80/tcp up", "192.0.2.11:80 up", "192.0.2.12:80 up")
		s.await("lb2", command, "web BACKUP", "192.0.2.1 (100)")
		s.answers("web1", "web2")
	case "director vrrp release web", "director events", "director explain web", "director vrrp auto web": // see handOver
	default:
		s.t.Fatalf("the README tells users to run %q, which this test does not know", command)
	}
}

// cured runs doctor and what it says is the cure, until it finds nothing.
func (s *story) cured(name string) {
	s.t.Helper()
	told := name == "lb1"
	for {
		found := findings(s.run(name, "director doctor"), "through-vip", "ip-forward", "expire-nodest", "expire-template", "farm-address", "interface")
		if told {
			s.tell(name, "director doctor", found)
		}
		var cures []string
		for line := range strings.Lines(found) {
			if cure, is := strings.CutPrefix(strings.TrimSpace(line), "cure "); is {
				cures = append(cures, cure)
			}
		}
		if len(cures) == 0 {
			return
		}
		for _, cure := range cures {
			out := s.run(name, cure)
			if told {
				s.tell(name, cure, out)
			}
		}
	}
}

// answers asks the virtual address until the web servers have answered, each at least once and nobody else.
func (s *story) answers(names ...string) {
	s.t.Helper()
	const command = "curl -s http://192.0.2.80/"
	missing := map[string]bool{}
	for _, name := range names {
		missing[name] = true
	}
	for range 20 * len(names) {
		answer := strings.TrimSpace(s.run("client", command))
		delete(missing, answer)
		if len(missing) == 0 {
			for _, name := range names { // the scheduler begins with any
				s.tell("client", command, name+"\n")
			}
			return
		}
	}
	s.t.Errorf("%v did not answer under the virtual address", missing)
}

func (s *story) serverDies() {
	s.say(`## A web server dies

nginx is stopped on web1. After three failed checks it is out of the kernel's table, and clients get web2.`)
	s.tell("web1", "systemctl stop nginx", "")
	s.Must(s.nginx["web1"].Stop(patience))
	for _, name := range []string{"lb1", "lb2"} {
		s.lb[name].WaitServer("web", "192.0.2.11:80", "down")
	}
	s.await("lb1", "director status", "192.0.2.11:80 down", "http 192.0.2.11:80/healthz fails: refused: connect: connection refused",
		"tcp 192.0.2.80:80 through 192.0.2.11 fails: refused: connect: connection refused", "192.0.2.12:80 up")
	s.answers("web2")
	s.say("Nothing listens on port 80 of 192.0.2.11: both checks are refused. Repaired:")
	s.tell("web1", "systemctl start nginx", "")
	s.serve("web1")
	for _, name := range []string{"lb1", "lb2"} {
		s.lb[name].WaitServer("web", "192.0.2.11:80", "up")
	}
	s.show("lb1", "director events --kind server --subject web/192.0.2.11:80 -n 2", "up -> down", "down -> up checks passed")
	s.lb["lb1"].WaitServers()
}

func (s *story) addressMissing() {
	const gone, back = "ip addr del 192.0.2.80/32 dev lo", "ip addr add 192.0.2.80/32 dev lo"
	s.say(`## A web server answers, but not under the virtual address

web2 was installed anew, and somebody forgot the virtual address on it. Under its own address it is well.`)
	s.show("web2", gone)
	s.lb["lb1"].WaitServer("web", "192.0.2.12:80", "down")
	s.await("lb1", "director explain web/192.0.2.12:80", "192.0.2.12:80 down", "http 192.0.2.12:80/healthz passes: status 200",
		"tcp 192.0.2.80:80 through 192.0.2.12 fails: timeout: connect: no answer", "HISTORY", "up -> down")
	s.answers("web1")
	s.say("The check of its own address passes, the one through 192.0.2.80 fails: web2 does not take what is sent to that address. Repaired:")
	s.show("web2", back)
	s.lb["lb1"].WaitServers()
	s.await("lb1", "director status", "192.0.2.12:80 up", "~down")
	s.answers("web1", "web2")
}

func (s *story) addressDeleted() {
	s.say(`## Somebody deletes the virtual address

On the master, by hand or by a script that restarts the network.`)
	s.show("lb1", "ip addr del 192.0.2.80/24 dev eth0")
	s.await("lb1", "director events --kind address -n 1", "somebody else removed it from eth0; put back")
	s.await("lb1", "director status", "web MASTER", "1 address, route or rule put back after somebody else removed it")
	s.show("lb1", "ip -4 -br addr show dev eth0", "192.0.2.80/24")
	s.say("It is there again, clients have been told (gratuitous ARP), and it is counted. Nothing needs repair but the script.")
}

func (s *story) badReload() {
	s.say("## A configuration with a mistake is reloaded\n\nSomebody writes `schedular = \"rr\"` on lb1.")
	s.edit("lb1", `scheduler   = "wlc"`, `schedular   = "rr"`)
	s.show("lb1", "director reload", "virtual_server.web.schedular: unknown key, did you mean scheduler?", "the reload was refused, nothing has changed")
	s.show("lb1", "director check", "^~~~~~~~~", "1 error, 0 warnings")
	s.show("lb1", "director status", "generation 1", "was refused, the generation above stays", "did you mean scheduler?", "web MASTER", "192.0.2.80:80/tcp up")
	s.answers("web1", "web2")
	s.say("The daemon goes on with what it had. Corrected, and looked at before it is put in force:")
	s.lb["lb1"].WriteConfig(replaced(s.t, s.config["lb1"], `scheduler   = "wlc"`, `scheduler   = "rr"`))
	s.show("lb1", "director plan", "-s rr")
	s.show("lb1", "director reload", "the new configuration is in force")
	s.show("lb1", "director status", "last reload", "succeeded", "~refused")
}

func (s *story) handOver() {
	s.say("## Hand over and take back\n\nBefore an update of lb1 its address goes to lb2; afterwards priorities decide again.")
	s.show("lb1", "director vrrp release web", "web is BACKUP, 192.0.2.2 is MASTER after")
	s.await("lb2", "director status", "web MASTER", "192.0.2.1 stopped (priority 0)")
	s.answers("web1", "web2")
	s.show("lb1", "director vrrp auto web", "web: auto, was release")
	s.lb["lb1"].WaitInstance("web", "MASTER", patience)
	s.show("lb1", "director events --kind instance -n 3", "MASTER -> BACKUP released by root", "BACKUP -> MASTER")
	s.await("lb2", "director status", "web BACKUP", "192.0.2.1 (100)")
}
