package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
)

// SNMP sends a trap for each change of state.
type SNMP struct {
	// Manager is who gets the traps: host or host:port, without a port 162.
	Manager string `toml:"manager" form:"host" required:"true" alias:"server trap_receiver"`
	Version string `toml:"version" oneof:"2c 3" default:"2c"`

	// The community of version 2c travels readable. Read at each use, as all
	// secrets of the channels.
	Community     Secret `toml:"community" when:"version=2c"`
	CommunityFile string `toml:"community_file" form:"file" when:"version=2c"`
	Credential    string `toml:"credential" form:"name" when:"version=2c"`

	// Version 3 signs and encrypts (authPriv, RFC 3414).
	User           string `toml:"user" form:"text" when:"version=3"`
	AuthProtocol   string `toml:"auth_protocol" oneof:"SHA SHA256 SHA512" default:"SHA256" when:"version=3"`
	AuthPassword   Secret `toml:"auth_password" when:"version=3"`
	AuthFile       string `toml:"auth_password_file" form:"file" when:"version=3"`
	AuthCredential string `toml:"auth_credential" form:"name" when:"version=3"`
	PrivProtocol   string `toml:"priv_protocol" oneof:"AES AES256" default:"AES" when:"version=3"` // AES: of 128 bits
	PrivPassword   Secret `toml:"priv_password" when:"version=3"`
	PrivFile       string `toml:"priv_password_file" form:"file" when:"version=3"`
	PrivCredential string `toml:"priv_credential" form:"name" when:"version=3"`
	// EngineID is what the manager knows this host by, 5 to 32 bytes as hexadecimal
	// digits (RFC 3411).
	EngineID string `toml:"engine_id" form:"text" default:"=made of the router_id" when:"version=3"`

	// Enterprise is the OID below which director's own objects are, such as the
	// reason of a change.
	Enterprise string   `toml:"enterprise" form:"text" default:"1.3.6.1.4.1.8072.9999.9999"`
	Timeout    Duration `toml:"timeout" default:"5s" min:"100ms" max:"5m"` // of one trap, name service included
	Retries    int      `toml:"retries" default:"8" min:"0" max:"100"`     // when it cannot be sent
	Events     []string `toml:"events" oneof:"instance group service server maintenance script tracker bfd address gate alarm ipvs process reload" default:"=instance, service, maintenance, gate and alarm"`
}

// CommunitySource, AuthSource and PrivSource are where the secrets are that are not
// in the text.
func (s *SNMP) CommunitySource() SecretSource { return SecretSource{s.CommunityFile, s.Credential} }

// AuthSource is where the password of the signature is; see CommunitySource.
func (s *SNMP) AuthSource() SecretSource { return SecretSource{s.AuthFile, s.AuthCredential} }

// PrivSource is where the password of the encryption is; see CommunitySource.
func (s *SNMP) PrivSource() SecretSource { return SecretSource{s.PrivFile, s.PrivCredential} }

// Format shows the manager only; see Mail.Format.
func (s SNMP) Format(f fmt.State, _ rune) { io.WriteString(f, "traps to "+s.Manager) }

// LogValue logs the manager's name only.
func (s SNMP) LogValue() slog.Value { return slog.StringValue(s.Manager) }

// snmp checks the trap channel.
func (v *validator) snmp(at place, s *SNMP) {
	s.Events = v.events(at.child("events"), s.Events)
	if at := at.child("enterprise"); v.ok(at) && !isOID(s.Enterprise) {
		v.errorf(at, "%s is not valid, allowed is an object identifier of 2 to 100 numbers, such as \"1.3.6.1.4.1.8072.9999.9999\"", show(at.raw))
	}
	if !v.ok(at.child("version")) {
		return
	}
	if s.Version == "2c" {
		v.anySecret(at, "community", "community_file", "credential", s.Community, func(s Secret) error {
			if s == "" {
				return errors.New("the community is empty")
			}
			return nil
		})
		return
	}
	if !at.has("user") {
		v.errorf(at.child("user"), "is missing, required with version = \"3\" is the name of a user")
	}
	// RFC 3414 section 11.2 asks for 8 characters at least.
	long := func(s Secret) error {
		if len(s) < 8 {
			return fmt.Errorf("the password has %d bytes, allowed are 8 and more (RFC 3414)", len(s))
		}
		return nil
	}
	v.anySecret(at, "auth_password", "auth_password_file", "auth_credential", s.AuthPassword, long)
	v.anySecret(at, "priv_password", "priv_password_file", "priv_credential", s.PrivPassword, long)
	if at := at.child("engine_id"); at.exists() && v.ok(at) {
		if b, err := hex.DecodeString(s.EngineID); err != nil || len(b) < 5 || len(b) > 32 {
			v.errorf(at, "%s is not valid, allowed are 5 to 32 bytes as hexadecimal digits", show(at.raw))
		}
	}
}

// isOID takes what SNMP can carry (RFC 2578 section 3.5).
func isOID(s string) bool {
	parts := strings.Split(s, ".")
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil || p != strconv.FormatUint(n, 10) || i == 0 && n > 2 || i == 1 && parts[0] != "2" && n > 39 {
			return false
		}
	}
	return len(parts) >= 2 && len(parts) <= 100
}
