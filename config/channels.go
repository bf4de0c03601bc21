package config

import (
	"fmt"
	"net/url"
)

// Channels are the ways, beside scripts, in which changes of state are told.
type Channels struct {
	Mail    *Mail    `toml:"mail" alias:"notification_email"`                           // nil: no mail
	Webhook *Webhook `toml:"webhook"`                                                   // nil: none
	SNMP    *SNMP    `toml:"snmp" alias:"snmp_trap traps"`                              // nil: no traps
	FIFO    *FIFO    `toml:"fifo" alias:"notify_fifo vrrp_notify_fifo lvs_notify_fifo"` // nil: none
}

// FIFO gets one line for each change of an instance, a virtual server or a real
// server, in keepalived's format.
type FIFO struct {
	Path string `toml:"path" form:"file" required:"true"` // made with mode 0600 when it is missing
}

// Webhook sends one HTTP request for each change of state.
type Webhook struct {
	// URL is http or https. It is a Secret because many receivers tell their
	// senders apart by it.
	URL     Secret   `toml:"url" required:"true"`
	Timeout Duration `toml:"timeout" default:"10s" min:"100ms" max:"5m"` // of one request
	Retries int      `toml:"retries" default:"8" min:"0" max:"100"`      // after the first request
	// Secret is the key of the signature; empty: no signature.
	Secret     Secret   `toml:"secret"`
	SecretFile string   `toml:"secret_file" form:"file"` // read at each request; a newline at its end does not count
	Credential string   `toml:"credential" form:"name"`  // of systemd, read likewise
	Events     []string `toml:"events" oneof:"instance group service server maintenance script tracker bfd address gate alarm ipvs process reload" default:"=instance, service, maintenance, gate and alarm"`
}

// Mail sends one mail for each change of state through an SMTP server.
type Mail struct {
	To   []string `toml:"to" form:"mail" required:"true" alias:"notification_email recipients"`
	From string   `toml:"from" form:"mail" default:"=director@ and the router_id" alias:"notification_email_from"`
	// Server is host or host:port. Without a port it is 25; 465 means TLS from
	// the first byte (RFC 8314).
	Server         string   `toml:"server" form:"host" required:"true" alias:"smtp_server"`
	Helo           string   `toml:"helo" form:"host" default:"=the host name" alias:"smtp_helo_name helo_name"`
	ConnectTimeout Duration `toml:"connect_timeout" default:"30s" min:"1s" max:"10m" alias:"smtp_connect_timeout"`
	Timeout        Duration `toml:"timeout" default:"2m" min:"1s" max:"10m"` // of one delivery, the connection included
	// TLS is none, opportunistic (STARTTLS where it is offered, with whatever
	// certificate: mail that comes is better than none) or required (with a
	// certificate that is valid for the host). A password needs required.
	TLS          string   `toml:"tls" oneof:"none opportunistic required" default:"=required with a user, else opportunistic"`
	User         string   `toml:"user" form:"text" default:"=no authentication"`
	Password     Secret   `toml:"password"`
	PasswordFile string   `toml:"password_file" form:"file"` // read at each delivery; a newline at its end does not count
	Credential   string   `toml:"credential" form:"name"`    // of systemd, read likewise
	Events       []string `toml:"events" oneof:"instance group service server maintenance script tracker bfd address gate alarm ipvs process reload" default:"=instance, service, maintenance, gate and alarm"`
}

// PasswordSource is where the password is when it is not in the text.
func (m *Mail) PasswordSource() SecretSource { return SecretSource{m.PasswordFile, m.Credential} }

// SecretSource is where the key of the signature is when it is not in the text.
func (w *Webhook) SecretSource() SecretSource { return SecretSource{w.SecretFile, w.Credential} }

// The values of Mail.TLS.
const (
	TLSNone          = "none"
	TLSOpportunistic = "opportunistic"
	TLSRequired      = "required"
)

// defaultEvents are the kinds of events that a channel tells when it lists none.
func defaultEvents() []string { return []string{"instance", "service", "maintenance", "gate", "alarm"} }

// channels checks the channels and resolves their defaults.
func (v *validator) channels() {
	tables := v.root.child("notify")
	if m := v.cfg.Notify.Mail; m != nil {
		v.mail(tables.child("mail"), m)
	}
	if w := v.cfg.Notify.Webhook; w != nil {
		v.webhook(tables.child("webhook"), w)
	}
	if s := v.cfg.Notify.SNMP; s != nil {
		v.snmp(tables.child("snmp"), s)
	}
}

func (v *validator) mail(at place, m *Mail) {
	if to := at.child("to"); to.exists() && len(m.To) == 0 && v.ok(to) {
		v.errorf(to, "an empty list is not allowed, required is at least one mail address")
	}
	v.duplicates(at.child("to").list(), m.To)
	m.Events = v.events(at.child("events"), m.Events)
	if limit := at.child("connect_timeout"); m.ConnectTimeout > m.Timeout && v.ok(limit) && v.ok(at.child("timeout")) {
		v.errorf(limit, "%s is longer than the timeout of the whole delivery, allowed is up to %s", m.ConnectTimeout, m.Timeout)
	}
	tls := at.child("tls")
	authenticated := at.child("user").exists()
	switch {
	case !tls.exists() && authenticated:
		m.TLS = TLSRequired
	case !tls.exists():
		m.TLS = TLSOpportunistic
	case authenticated && m.TLS != TLSRequired && v.ok(tls):
		v.errorf(tls, "%s may show the password to others, allowed with a user is %q", show(tls.raw), TLSRequired)
	}
	v.secret(at, "password", m.Password)
	given := at.has("password") || at.has("password_file") || at.has("credential")
	switch {
	case authenticated && !given:
		v.errorf(at.child("password"), "is missing, required with a user is a password, a password_file or a credential")
	case !authenticated && given:
		v.errorf(at.child("user"), "is missing, required with a password is the name of a user")
	}
}

func (v *validator) webhook(at place, w *Webhook) {
	w.Events = v.events(at.child("events"), w.Events)
	v.secret(at, "secret", w.Secret)
	if at := at.child("url"); at.exists() && v.ok(at) {
		u, err := url.Parse(string(w.URL))
		// The value is not shown: it may hold a token.
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !isHost(u.Host) {
			v.errorf(at, "is not valid, allowed is a URL with a host such as \"https://hooks.example.com/director\"")
		} else if u.Scheme == "http" && u.User != nil {
			v.warnf(at, "the password in it travels readable: https would hide it")
		}
	}
}

// events checks a list of kinds of events and returns it or its default.
func (v *validator) events(at place, list []string) []string {
	switch {
	case !at.exists():
		return defaultEvents()
	case len(list) == 0 && v.ok(at):
		v.errorf(at, "an empty list is not allowed: nothing would be told")
	}
	v.duplicates(at.list(), list)
	return list
}

// secret checks a secret that may stand in the text, in a file of its own, or be a
// credential.
func (v *validator) secret(at place, key string, value Secret) {
	if !at.has(key) && !at.has(key+"_file") && !at.has("credential") {
		return
	}
	v.anySecret(at, key, key+"_file", "credential", value, func(s Secret) error {
		if s == "" {
			return fmt.Errorf("the %s is empty", key)
		}
		return nil
	})
}
