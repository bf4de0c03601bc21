package test

import (
	"strings"
	"testing"

	"director/internal/netlab/labtest"
)

// TestTranscriptPair is TestTranscript for what goes wrong between two directors: docs/transcript-pair.md. It needs no IPVS, as it
// has the README's file without its virtual server; each fault has a pair of its own, beside the others.
func TestTranscriptPair(t *testing.T) {
	t.Parallel()
	if !labtest.RequireLab(t) {
		return
	}
	faults := []func(*story){(*story).otherVRID, (*story).otherPassword, (*story).firewall, (*story).linkCut}
	told := make([]string, len(faults))
	t.Run("faults", func(t *testing.T) {
		for i, fault := range faults {
			t.Run([]string{"virtual router ID", "password", "firewall", "link"}[i], func(t *testing.T) {
				t.Parallel()
				s := newStory(t, 0, func(text string) string {
					pair, _, _ := strings.Cut(text, "\n[virtual_server.web]\n")
					return pair
				})
				for _, name := range []string{"lb1", "lb2"} {
					s.start(name)
				}
				s.lb["lb1"].WaitInstance("web", "MASTER", patience)
				s.lb["lb2"].WaitInstance("web", "BACKUP", patience)
				fault(s)
				s.await("lb2", "director status", "web BACKUP", "192.0.2.1 (100)", "~ALARM", "~although")
				s.lb["lb1"].WaitInstance("web", "MASTER", patience)
				told[i] = s.text()
			})
		}
	})
	if !t.Failed() {
		holdPage(t, "transcript-pair.md", `# A pair of directors, broken

Four faults between two directors, with what director's commands print: how each one shows, and how it is repaired. lb1 and lb2 have the file of the
[README](../README.md) without its virtual server; a test does all of it and holds this page, as for [transcript.md](transcript.md). What helps against which fault is told in
[split-brain.md](split-brain.md). An alarm of a MASTER ends a minute after its cause was last seen, as the backup is silent.

`+strings.Join(told, "\n"))
	}
}

func (s *story) otherVRID() {
	s.say(`## The virtual router IDs differ

On lb2 somebody writes ` + "`virtual_router_id = 52`" + ` and reloads. Neither hears the other, both are MASTER, and each says why.`)
	s.edit("lb2", "= 51", "= 52")
	s.show("lb2", "director reload", "the new configuration is in force")
	s.lb["lb2"].WaitInstance("web", "MASTER", patience)
	const cause = "192.0.2.2 advertises VRID 52 with 192.0.2.80, an address of ours (VRID 51): both routers are MASTER; give both the same virtual_router_id"
	s.await("lb1", "director status", "foreign_vrid web", cause, "foreign_mac web", "web MASTER")
	s.show("lb1", "director check --peer lb2.toml", "51, but 52 at", "neither would hear the other, and both would be MASTER")
	s.say("`lb2.toml` is a copy of the file of lb2. Repaired:")
	s.restore("lb2")
	s.show("lb2", "director reload", "the new configuration is in force")
}

func (s *story) otherPassword() {
	const pass = "= 51\nversion           = 2\nauthentication    = { type = \"PASS\", password = \"%\" }"
	for name, word := range map[string]string{"lb1": "squirrel", "lb2": "squirrle"} {
		s.edit(name, "= 51", strings.ReplaceAll(pass, "%", word))
	}
	s.say(`## The passwords differ

Both get ` + "`version = 2` and a password" + `, and on lb2 it has a typing mistake.`)
	for _, name := range []string{"lb1", "lb2"} {
		s.show(name, "director reload", "the new configuration is in force")
	}
	s.lb["lb2"].WaitInstance("web", "MASTER", patience)
	const cause = "sends another password, configured here is authentication PASS; adverts from there are dropped, so both routers may be MASTER; make authentication the same on both"
	s.await("lb2", "director status", "peer_authentication web", "192.0.2.1 "+cause, "web MASTER", "with a wrong password")
	s.lb["lb1"].WaitAlarm("peer_authentication", patience)
	s.lb["lb1"].WaitAlarm("foreign_mac", patience)
	found := findings(s.run("lb1", "director doctor"), "daemon")
	s.tell("lb1", "director doctor", found)
	if err := contains(found, []string{"alarm peer_authentication: 192.0.2.2 " + cause, "cure director check --peer FILE"}); err != nil {
		s.t.Error(err)
	}
	s.show("lb1", "director check --peer lb2.toml", "authentication.password", "~squirr")
	s.say("No command shows a password. Repaired:")
	s.lb["lb2"].WriteConfig(replaced(s.t, s.config["lb2"], "= 51", strings.ReplaceAll(pass, "%", "squirrel")))
	s.show("lb2", "director reload", "the new configuration is in force")
}

// rules is a firewall as an administrator might write it, who thinks of no protocol but TCP, UDP and ICMP.
const rules = `table inet filter {
	chain input {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		iif lo accept
		ip protocol icmp accept
		tcp dport { 22, 80, 443 } accept
	}
}
`

func (s *story) firewall() {
	s.say("## A firewall drops the adverts\n\nlb2 gets a firewall that lets nothing in but ICMP and some ports, and so no adverts (IP protocol 112).")
	_, err := s.hosts["lb2"].WriteFile("nftables.conf", rules)
	s.Must(err)
	s.tell("lb2", "nft -f /etc/nftables.conf", "")
	s.run("lb2", "nft -f "+s.hosts["lb2"].Path("nftables.conf"))
	s.lb["lb2"].WaitInstance("web", "MASTER", patience)
	found := findings(s.run("lb2", "director doctor"), "firewall")
	s.await("lb2", "director status", "web MASTER", "no advert from 192.0.2.1")
	s.tell("lb2", "director doctor", found)
	if err := contains(found, []string{"broken firewall", "filter", "input", "224.0.0.18"}); err != nil {
		s.t.Error(err)
	}
	s.await("lb1", "director status", "two_masters web", "192.0.2.2")
	s.say("lb1 hears the worse router lb2 go on as MASTER, so lb2 does not hear lb1; on lb2 doctor names the chain that drops the adverts. Repaired, as it says:")
	for line := range strings.Lines(found) {
		if cure, is := strings.CutPrefix(strings.TrimSpace(line), "cure "); is {
			s.show("lb2", cure)
		}
	}
}

func (s *story) linkCut() {
	s.say("## The link between them is cut\n\nThe switch port of lb1 dies; its own interface notices nothing, as between two switches.")
	s.Must(s.ports["lb1"].Cut())
	s.lb["lb2"].WaitInstance("web", "MASTER", patience)
	s.await("lb2", "director status", "web MASTER", "no advert from 192.0.2.1")
	s.await("lb1", "director status", "web MASTER")
	s.show("lb2", "director explain web", "BACKUP -> MASTER no advert from 192.0.2.1")
	s.say("lb2 has not heard lb1 and serves. lb1 cannot know: to itself it is MASTER as before. The cable is plugged in again:")
	s.Must(s.ports["lb1"].Heal())
	s.lb["lb2"].WaitInstance("web", "BACKUP", patience)
	s.show("lb2", "director events --kind instance -n 2", "BACKUP -> MASTER", "MASTER -> BACKUP", "192.0.2.1")
}
