package netlab

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Nginx is a real nginx on a host.
type Nginx struct {
	*Process
	sick string // nginx answers 503 on HealthPath while this file exists
}

// NginxOptions changes what Nginx sets up.
type NginxOptions struct {
	// Name tells several of one host apart. Empty: "nginx".
	Name string
	// Server is put into the server block, for more locations or settings.
	Server string
}

// Nginx starts an nginx with one worker, in the foreground, all of its files below the host's folder. It answers every path
// with the page, and HealthPath with 200 "ok" or, after SetHealthy(false), with 503. It returns when nginx listens.
func (h *Host) Nginx(addr netip.AddrPort, page string, o NginxOptions) (*Nginx, error) {
	name := o.Name
	if name == "" {
		name = "nginx"
	}
	dir := h.Path(name)
	if err := os.MkdirAll(filepath.Join(dir, "www"), 0o755); err != nil {
		return nil, err
	}
	n := &Nginx{sick: filepath.Join(dir, "sick")}
	_ = os.Remove(n.sick)
	server := strings.NewReplacer("DIR", dir, "ADDR", addr.String(), "HEALTH", HealthPath, "MORE", o.Server).Replace(nginxServer)
	confPath := filepath.Join(dir, "nginx.conf")
	for path, text := range map[string]string{
		confPath: NginxConf(dir, server), filepath.Join(dir, "www", "page"): page + "\n", filepath.Join(dir, "www", "ok"): "ok\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	var err error
	if n.Process, err = h.Start(name, "nginx", "-p", dir, "-e", "stderr", "-c", confPath); err != nil {
		return nil, err
	}
	return n, n.ready(addr)
}

const nginxServer = `server {
		listen ADDR;
		root DIR/www;
		location / { try_files /page =404; }
		location = HEALTH {
			if (-e DIR/sick) { return 503; }
			try_files /ok =404;
		}
		MORE
	}`

// NginxConf is the configuration of an nginx with one worker, in the foreground, all of its files below a folder. http is the
// content of its http block.
func NginxConf(dir, http string) string {
	return strings.NewReplacer("DIR", dir, "HTTP", http).Replace(nginxConf)
}

const nginxConf = `daemon off;
user root;
worker_processes 1;
pid DIR/nginx.pid;
error_log stderr notice;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	default_type text/plain;
	HTTP
}
`

// ready waits until nginx accepts connections.
func (n *Nginx) ready(addr netip.AddrPort) error {
	to := addr
	if addr.Addr().IsUnspecified() {
		to = netip.AddrPortFrom(loopback(addr.Addr()), addr.Port())
	}
	var ended error
	err := EventuallyWithin(startTimeout, func() error {
		if !n.Running() {
			ended = fmt.Errorf("%s: nginx ended: %s", n.host.name, n.Log())
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // an address that nobody has is asked for in vain
		defer cancel()
		c, err := n.host.DialContext(ctx, "tcp", to.String())
		if err != nil {
			return fmt.Errorf("%s: nginx: %w", n.host.name, err)
		}
		return c.Close()
	})
	if ended != nil {
		return ended
	}
	if err != nil {
		n.KillGroup()
	}
	return err
}

func loopback(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return netip.IPv6Loopback()
}

// SetHealthy chooses between 200 and 503 on HealthPath, from the next request on.
func (n *Nginx) SetHealthy(ok bool) error {
	if ok {
		err := os.Remove(n.sick)
		if os.IsNotExist(err) {
			return nil
		}
		return err
	}
	return os.WriteFile(n.sick, nil, 0o644)
}

// Keepalived starts a real keepalived with the given configuration, in the foreground with its log in the process's log file
// (keepalived.log), and process-number files of its own. Reload it with Signal(SIGHUP) after changing the file KeepalivedConf.
func (h *Host) Keepalived(conf string) (*Process, error) {
	path, err := h.WriteFile(KeepalivedConf, conf)
	if err != nil {
		return nil, err
	}
	return h.Start("keepalived", "keepalived", "-n", "-l", "-D", "-f", path,
		"-p", h.Path("keepalived.pid"), "-r", h.Path("keepalived-vrrp.pid"), "-c", h.Path("keepalived-checkers.pid"))
}

// KeepalivedConf is the name of the configuration file in the folder of a host that runs keepalived.
const KeepalivedConf = "keepalived.conf"
