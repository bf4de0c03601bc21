package config

import (
	"strings"
	"testing"
)

const usersConfig = `
[vrrp_instance.v]
interface = "eth0"
virtual_router_id = 1
virtual_ipaddress = ["192.0.2.1"]
notify.user = "u"
notify.master = "/m"
notify.master_user = "own:group"
notify.backup = "/b"

[virtual_server.web]
address = "192.0.2.1:80"
quorum_up = "/u"
quorum_up_user = "own"
quorum_down = "/d"
user = "pool"
real_server = [{ address = "192.0.2.11", notify_up = "/u", notify_up_user = "server", notify_down = "/d" }]
`

// A command runs as its own user, else as that of its table.
func TestCommandUsers(t *testing.T) {
	cfg, err := Parse("x.toml", []byte(usersConfig))
	if err != nil {
		t.Fatal(err)
	}
	vs := &cfg.VirtualServers[0]
	in, pool, server := cfg.Instances[0].Notify.Commands(), vs.Commands(), vs.RealServers[0].Commands(vs)
	for _, w := range []struct {
		got  UserCommand
		want string
	}{
		{in[OnMaster], "/m own:group"}, {in[OnBackup], "/b u"}, {in[OnAlarm], " u"}, {pool[OnQuorumUp], "/u own"}, {pool[OnQuorumDown], "/d pool"},
		{server[OnUp], "/u server"}, {server[OnDown], "/d pool"},
	} {
		if got := strings.Join(w.got.Argv, " ") + " " + w.got.User; got != w.want {
			t.Errorf("%s: %q, want %q", w.got.Key, got, w.want)
		}
	}
}

// A user without its command is a mistake.
func TestUserWithoutCommand(t *testing.T) {
	for from, to := range map[string]string{
		"notify.master = ": "notify.stop = ", "quorum_up = ": "quorum_down_user = \"u\"\nnotify_alarm = ", "notify_up = \"/u\", ": "",
	} {
		_, err := Parse("x.toml", []byte(strings.Replace(usersConfig, from, to, 1)))
		if err == nil || !strings.Contains(err.Error(), "allowed together with it") {
			t.Errorf("without %s: error %v", from, err)
		}
	}
}
