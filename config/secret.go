package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a password or a key. It prints as "***" wherever it is formatted,
// logged or encoded as JSON or gob; see Config.TakeSecrets for the one way out.
type Secret string

const hidden = "***"

func (Secret) String() string { return hidden }

// GoString keeps the secret out of %#v as well.
func (Secret) GoString() string { return `config.Secret("` + hidden + `")` }

// Format keeps the secret out of every verb: with a Stringer alone, a verb that
// does not fit a string, such as %d, would print the bare value.
func (s Secret) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('#'):
		io.WriteString(f, s.GoString())
	case verb == 'q':
		io.WriteString(f, `"`+hidden+`"`)
	default:
		io.WriteString(f, hidden)
	}
}

// LogValue keeps the secret out of structured logs, the JSON handler included.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON keeps the secret out of JSON; that there is none is no secret.
func (s Secret) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte(`""`), nil
	}
	return []byte(`"` + hidden + `"`), nil
}

// GobEncode keeps the secret out of gob, as MarshalJSON does out of JSON.
func (s Secret) GobEncode() ([]byte, error) {
	if s == "" {
		return nil, nil
	}
	return []byte(hidden), nil
}

// GobDecode takes what GobEncode has made.
func (s *Secret) GobDecode(text []byte) error {
	*s = Secret(text)
	return nil
}

// LogValue logs the kind of authentication only.
func (a Authentication) LogValue() slog.Value { return slog.StringValue(a.Type) }

// LogValue logs what identifies the instance; see Authentication.LogValue.
func (i Instance) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("name", i.Name),
		slog.String("interface", i.Interface),
		slog.Int("virtual_router_id", int(i.VRID)))
}

// LogValue logs which channels there are; see Authentication.LogValue.
func (c Channels) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("mail", c.Mail != nil), slog.Bool("webhook", c.Webhook != nil), slog.Bool("snmp", c.SNMP != nil))
}

// Format shows the server only: through a pointer, a verb that does not fit prints
// the bare fields.
func (m Mail) Format(f fmt.State, _ rune) { io.WriteString(f, "mail by "+m.Server) }

// LogValue logs the server's name only; see Authentication.LogValue.
func (m Mail) LogValue() slog.Value { return slog.StringValue(m.Server) }

// Format shows no more than that there is one; see Mail.Format.
func (Webhook) Format(f fmt.State, _ rune) { io.WriteString(f, "webhook") }

// LogValue logs no more than that there is one; see Authentication.LogValue.
func (Webhook) LogValue() slog.Value { return slog.StringValue("webhook") }

// LogValue logs the size of the configuration; see Authentication.LogValue.
func (c Config) LogValue() slog.Value {
	servers := 0
	for i := range c.VirtualServers {
		servers += len(c.VirtualServers[i].RealServers)
	}
	return slog.GroupValue(
		slog.Int("instances", len(c.Instances)),
		slog.Int("scripts", len(c.Scripts)),
		slog.Int("virtual_servers", len(c.VirtualServers)),
		slog.Int("real_servers", servers))
}
