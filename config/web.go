package config

import (
	"net/netip"
	"strings"
)

// Web is the read-only face: metrics, the status page and JSON over HTTP, served by
// a process of its own that holds no right.
type Web struct {
	// Listen lists where it is reached: addresses with a port, and absolute paths of
	// UNIX sockets.
	Listen []string `toml:"listen" form:"listen" required:"true"`
	// ConfigFile is a web configuration file of Prometheus' exporter-toolkit: TLS,
	// passwords, rate limit. It is read by the web process as its user.
	ConfigFile string `toml:"web_config_file" form:"file" default:"=no TLS and no password"`
	// ServerName lists further names by which clients may call it. Addresses, localhost and the
	// host's own name are allowed in any case.
	ServerName []string `toml:"server_name" form:"hostname" alias:"server_names"`
	// AllowInsecure lets it listen beyond this host without TLS and authentication.
	AllowInsecure bool `toml:"allow_insecure" default:"false"`
	// User is the user[:group] that the process runs as.
	User string `toml:"user" form:"user" default:"nobody"`
	// UpdateInterval is how often the process gets the state anew when nothing
	// happens; a change of state is shown at once. Large farms are told more rarely.
	UpdateInterval Duration `toml:"update_interval" default:"2s" min:"250ms" max:"1m"`
	// MaxConnections bounds the clients that are connected at a time.
	MaxConnections int `toml:"max_connections" default:"256" min:"8" max:"10000"`
	// MaxServerSeries is how many real servers have metrics of their own; with more
	// there are those of the virtual servers only.
	MaxServerSeries int `toml:"max_server_series" default:"5000" min:"0" max:"1000000"`
}

// ParseListen takes an element of Web.Listen apart: an address, or else the path of
// a UNIX socket.
func ParseListen(s string) (addr netip.AddrPort, path string, ok bool) {
	if strings.HasPrefix(s, "/") {
		// The kernel's limit, with the final NUL.
		return addr, s, len(s) < 108 && !strings.HasSuffix(s, "/") && strings.IndexByte(s, 0) < 0
	}
	addr, err := netip.ParseAddrPort(s)
	return addr, "", err == nil && addr.Port() > 0
}

// Exposed returns the addresses that other hosts can reach.
func (w *Web) Exposed() []string {
	var list []string
	for _, s := range w.Listen {
		if addr, path, ok := ParseListen(s); ok && path == "" && !addr.Addr().Unmap().IsLoopback() {
			list = append(list, s)
		}
	}
	return list
}

// web checks the read-only face. What of it only the host can tell, such as what the
// web configuration file holds, keeps the web process away and nothing else.
func (v *validator) web() {
	w := v.cfg.Web
	if w == nil {
		return
	}
	at := v.root.child("web")
	listen := at.child("listen")
	if listen.exists() && len(w.Listen) == 0 && v.ok(listen) {
		v.errorf(listen, "an empty list is not allowed, required is at least one address such as \"127.0.0.1:9650\"")
	}
	v.duplicates(listen.list(), w.Listen)
	v.duplicates(at.child("server_name").list(), w.ServerName)
	if w.ConfigFile != "" || w.AllowInsecure || !v.ok(at.child("web_config_file")) {
		return
	}
	for i, e := range listen.list() {
		one := Web{Listen: w.Listen[i : i+1]}
		if v.ok(e) && len(one.Exposed()) > 0 {
			v.errorf(e, "%s can be reached from other hosts, allowed without TLS and authentication are 127.0.0.1, [::1] and UNIX sockets; name a web_config_file with both, or say allow_insecure = true", show(e.raw))
		}
	}
}
