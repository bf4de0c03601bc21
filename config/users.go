package config

import "cmp"

// NotifyUsers are the user[:group] of single commands of a Notify.
type NotifyUsers struct {
	MasterUser string `toml:"master_user" form:"user" default:"=user" json:",omitempty"`
	BackupUser string `toml:"backup_user" form:"user" default:"=user" json:",omitempty"`
	FaultUser  string `toml:"fault_user" form:"user" default:"=user" json:",omitempty"`
	StopUser   string `toml:"stop_user" form:"user" default:"=user" json:",omitempty"`
	AllUser    string `toml:"all_user" form:"user" default:"=user" json:",omitempty"`
	AlarmUser  string `toml:"alarm_user" form:"user" default:"=user" json:",omitempty"`
}

// PoolUsers are the user[:group] of single commands of a VirtualServer.
type PoolUsers struct {
	QuorumUpUser    string `toml:"quorum_up_user" form:"user" default:"=user" json:",omitempty"`
	QuorumDownUser  string `toml:"quorum_down_user" form:"user" default:"=user" json:",omitempty"`
	NotifyAlarmUser string `toml:"notify_alarm_user" form:"user" default:"=user" json:",omitempty"`
}

// ServerUsers are the user[:group] of single commands of a RealServer.
type ServerUsers struct {
	NotifyUpUser   string `toml:"notify_up_user" form:"user" default:"=the virtual server's user" json:",omitempty"`
	NotifyDownUser string `toml:"notify_down_user" form:"user" default:"=the virtual server's user" json:",omitempty"`
}

// A UserCommand is a command and the user[:group] that it runs as, "" for that of all
// scripts.
type UserCommand struct {
	Key  string // in its table
	Argv []string
	User string
}

// The places of commands among those of their table.
const (
	OnMaster, OnBackup, OnFault, OnStop, OnAny, OnAlarm = 0, 1, 2, 3, 4, 5 // of a Notify
	OnQuorumUp, OnQuorumDown, OnPoolAlarm               = 0, 1, 2          // of a VirtualServer
	OnUp, OnDown                                        = 0, 1             // of a RealServer
)

// Commands returns the commands of a Notify. Those that there are not have no Argv.
func (n *Notify) Commands() [6]UserCommand {
	of := func(key string, argv []string, own string) UserCommand {
		return UserCommand{key, argv, cmp.Or(own, n.User)}
	}
	return [6]UserCommand{
		of("master", n.Master, n.MasterUser), of("backup", n.Backup, n.BackupUser), of("fault", n.Fault, n.FaultUser),
		of("stop", n.Stop, n.StopUser), of("all", n.All, n.AllUser), of("alarm", n.Alarm, n.AlarmUser),
	}
}

// Commands returns the commands of a virtual server, without those of its servers.
func (vs *VirtualServer) Commands() [3]UserCommand {
	of := func(key string, argv []string, own string) UserCommand {
		return UserCommand{key, argv, cmp.Or(own, vs.User)}
	}
	return [3]UserCommand{
		of("quorum_up", vs.QuorumUp, vs.QuorumUpUser), of("quorum_down", vs.QuorumDown, vs.QuorumDownUser),
		of("notify_alarm", vs.NotifyAlarm, vs.NotifyAlarmUser),
	}
}

// Commands returns the commands of a server of a virtual server.
func (rs *RealServer) Commands(vs *VirtualServer) [2]UserCommand {
	return [2]UserCommand{
		{"notify_up", rs.NotifyUp, cmp.Or(rs.NotifyUpUser, vs.User)}, {"notify_down", rs.NotifyDown, cmp.Or(rs.NotifyDownUser, vs.User)},
	}
}

// users checks that the commands are there whose users a table names.
func (v *validator) users(at place, commands ...UserCommand) {
	for _, c := range commands {
		if own := at.child(c.Key + "_user"); own.exists() && len(c.Argv) == 0 && v.ok(own) && v.ok(at.child(c.Key)) {
			v.errorf(own.atKey(), "there is no %s, allowed together with it: it is the user of that command", c.Key)
		}
	}
}
