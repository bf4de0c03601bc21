package config

import (
	"net/netip"
	"strconv"
)

// Pooling is how a pool reacts to the health of its servers, beyond the quorum.
type Pooling struct {
	// Alpha keeps a server that is new out of service until its checks have passed;
	// without, it serves until they fail. Each real server may have its own.
	Alpha bool `toml:"alpha" default:"true"`
	// Omega tells of the end of the daemon as if all servers went down: quorum_down,
	// notify_down and the other channels.
	Omega bool `toml:"omega" default:"false" json:",omitempty"`
	// RampUp is how long the weight of a server takes to rise when it comes back, or
	// comes to servers that serve. 0: it has it at once.
	RampUp Duration `toml:"ramp_up" default:"0s" min:"0s" max:"24h" json:",omitempty" alias:"slow_start slowstart slow-start"`
	// PanicThreshold is the share of the pool's weight that failing checks leave in
	// service, such as "50%"; see PanicShare.
	PanicThreshold string `toml:"panic_threshold" form:"percent" default:"0%" json:",omitempty" alias:"healthy_panic_threshold depool_threshold"`
	// ActiveWith is a VRRP instance: the service is in the kernel's table while it is
	// MASTER. Empty: always.
	ActiveWith string `toml:"active_with" form:"name" default:"=it is always in the table" json:",omitempty"`
	// NotifyAlarm is a command that is run when an alarm of the virtual server is
	// raised and when it is over; the environment tells which.
	NotifyAlarm []string `toml:"notify_alarm" form:"command" json:",omitempty"`
}

// PanicShare returns the panic threshold in hundredths, 0 without one.
func (p *Pooling) PanicShare() int {
	n, _ := parsePercent(p.PanicThreshold)
	return n
}

// parsePercent reads a whole number of hundredths, 0% to 100%.
func parsePercent(s string) (int, bool) {
	if s == "" || s[len(s)-1] != '%' || !all(s[:len(s)-1], func(c byte) bool { return c >= '0' && c <= '9' }) {
		return 0, false
	}
	n, err := strconv.Atoi(s[:len(s)-1])
	return n, err == nil && n <= 100
}

// SorryServer answers when the pool has lost its quorum, the first of the list that
// is well.
type SorryServer struct {
	Name       string         `toml:"name" form:"name" default:"=the address"`
	Address    netip.AddrPort `toml:"address" required:"true"`
	Forwarding Forwarding     `toml:"forwarding" oneof:"nat dr tunnel" default:"=the virtual server's" alias:"lb_kind lvs_method sorry_server_lvs_method"`
	Tunnel     *TunnelOptions `toml:"tunnel" short:"type" json:",omitempty" alias:"tun_type"` // resolved; nil: IP in IP, or no tunnel
	// Inhibit keeps it in the table with weight 0 while it does not answer, so that
	// its connections live on.
	Inhibit bool    `toml:"inhibit" default:"false" json:",omitempty" alias:"sorry_server_inhibit inhibit_on_failure"`
	Checks  []Check `toml:"check" json:",omitempty" alias:"ping_check tcp_check udp_check http_get ssl_get dns_check smtp_check misc_check file_check"` // none: it is always well
}
