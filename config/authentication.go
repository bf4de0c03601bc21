package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// The values of Authentication.Type.
const (
	AuthPASS = "PASS" // version 2: a password in clear text
	AuthAH   = "AH"   // version 2: an IP authentication header, as keepalived speaks it
	AuthHMAC = "HMAC" // a signature behind each advert, as keepalived speaks it since 2.4.2
)

// Authentication is how an instance tells the adverts of its group from those of
// strangers.
type Authentication struct {
	Type string `toml:"type" oneof:"PASS AH HMAC" default:"PASS" alias:"auth_type" told:"true"` // empty: no authentication

	// The password of PASS and AH, 1..8 bytes: in the text, in a file of its own, or
	// as a systemd credential. Parse leaves it empty where it is outside the text;
	// FillSecrets gets it.
	Password     Secret `toml:"password" when:"type=PASS|AH" alias:"auth_pass"`
	PasswordFile string `toml:"password_file" form:"file" when:"type=PASS|AH"`
	Credential   string `toml:"credential" form:"name" when:"type=PASS|AH"`

	Keys      []HMACKey `toml:"keys" when:"type=HMAC" alias:"key"`
	ActiveKey uint8     `toml:"active_key" min:"1" max:"255" default:"=the only key" when:"type=HMAC"` // the one that signs
	// Mode says what is done with adverts that are not signed: enforce drops them,
	// permissive takes them, receive-only takes them and signs nothing.
	Mode string `toml:"mode" oneof:"enforce permissive receive-only" default:"enforce" when:"type=HMAC"`
	// AntiReplay says what an advert is compared with: time with the clock and the
	// sender's last one, monotonic with the latter alone.
	AntiReplay string `toml:"anti_replay" oneof:"time monotonic" default:"time" when:"type=HMAC"`
	// TimeWindow is by how much the clocks of sender and receiver may differ.
	TimeWindow Duration `toml:"time_window" min:"1s" max:"300s" default:"=three advert intervals, at least 5s" when:"anti_replay=time"`
}

// HMACKey is one key of HMAC. Adverts that are signed with any of them are taken.
type HMACKey struct {
	ID uint8 `toml:"id" min:"1" max:"255" required:"true"`
	// Key is 32..64 bytes, see Bytes: in the text, in a file of its own, or as a
	// systemd credential.
	Key        Secret `toml:"key"`
	KeyFile    string `toml:"key_file" form:"file"`
	Credential string `toml:"credential" form:"name"`
}

// The lengths of a key in bytes.
const (
	minKey = 32
	maxKey = 64
)

// Bytes returns the key: the text itself, or what hexadecimal digits behind
// "hex:" stand for. The error does not show it.
func (k HMACKey) Bytes() ([]byte, error) { return keyBytes(k.Key) }

func keyBytes(s Secret) ([]byte, error) {
	key := []byte(s)
	if digits, ok := strings.CutPrefix(string(s), "hex:"); ok {
		var err error
		if key, err = hex.DecodeString(strings.TrimSpace(digits)); err != nil {
			return nil, errors.New("the key is not valid, allowed behind hex: are pairs of hexadecimal digits")
		}
	}
	if n := len(key); n < minKey || n > maxKey {
		return nil, fmt.Errorf("the key has %d bytes, allowed are %d to %d, such as the output of: echo hex:$(openssl rand -hex 32)", n, minKey, maxKey)
	}
	return key, nil
}

// checkKey is keyBytes for those who want to know only whether there is a fault.
func checkKey(s Secret) error {
	if !utf8.ValidString(string(s)) {
		return errors.New("the key holds bytes that are no text, allowed are text, or hex: and hexadecimal digits")
	}
	_, err := keyBytes(s)
	return err
}

// checkPassword says what is wrong with a password of version 2.
func checkPassword(s Secret) error {
	switch n := len(s); {
	case n == 0:
		return errors.New("the password is empty, allowed are 1 to 8 bytes")
	case n > 8:
		return fmt.Errorf("the password has %d bytes, allowed are 1 to 8: an advert holds no more, and keepalived silently cuts off the rest (a peer that does so expects the first 8)", n)
	case strings.IndexByte(string(s), 0) >= 0:
		return errors.New("the password holds a NUL byte, allowed are 1 to 8 bytes without it")
	case !utf8.ValidString(string(s)):
		return errors.New("the password holds bytes that are no text, allowed are 1 to 8 bytes of text")
	}
	return nil
}

// authentication checks the authentication of an instance and resolves the
// defaults that depend on other keys.
func (v *validator) authentication(at place, in *Instance) {
	auth, a := at.child("authentication"), &in.Authentication
	if !auth.exists() || !v.ok(auth) || !v.ok(auth.child("type")) {
		return
	}
	if a.Type == AuthHMAC {
		v.hmac(auth, in)
		return
	}
	switch {
	case !v.ok(at.child("version")):
	case in.Version == 3:
		v.errorf(auth, "VRRP version 3 has no %s (RFC 9568), allowed is type = %q with keys", a.Type, AuthHMAC)
	case hasIPv6(in):
		v.errorf(auth, "there is no %s over IPv6, allowed is type = %q with keys, and version = 3", a.Type, AuthHMAC)
	}
	v.anySecret(auth, "password", "password_file", "credential", a.Password, checkPassword)
}

func hasIPv6(in *Instance) bool {
	for _, list := range [][]VirtualAddress{in.Addresses, in.Excluded} {
		for _, a := range list {
			if a.Prefix.Addr().Is6() {
				return true
			}
		}
	}
	return false
}

// anySecret checks a secret that has to be given in one of three ways: in the text,
// in a file, or as a credential.
func (v *validator) anySecret(at place, text, file, credential string, value Secret, check func(Secret) error) {
	var given []string
	for _, key := range []string{text, file, credential} {
		if at.has(key) {
			given = append(given, key)
		}
	}
	switch inText := at.child(text); {
	case len(given) == 0:
		v.errorf(at, "there is no secret, required is one of %s, %s and %s", text, file, credential)
	case len(given) > 1:
		v.errorf(at.child(given[1]).atKey(), "there is also a %s, allowed is one of %s, %s and %s", given[0], text, file, credential)
	case inText.exists() && v.ok(inText):
		if err := check(value); err != nil {
			v.errorf(inText, "%v", err)
		}
	}
}

func (v *validator) hmac(auth place, in *Instance) {
	a := &in.Authentication
	list := auth.child("keys")
	if v.ok(list) && len(a.Keys) == 0 {
		v.errorf(list, "there is no key, required is at least one, such as { id = 1, key_file = \"/etc/director/vrrp-key\" }")
		return
	}
	ids := make(map[uint8]bool)
	var first place
	for i, e := range list.list() {
		k := a.Keys[i]
		if !v.ok(e) || !v.ok(e.child("id")) || k.ID == 0 {
			ids[0] = true // which ones there are is not known
			continue
		}
		if ids[k.ID] {
			v.errorf(e.child("id"), "%d is already the number of another key, allowed is each once", k.ID)
		}
		ids[k.ID] = true
		if i == 0 {
			first = e
		}
		v.anySecret(e, "key", "key_file", "credential", k.Key, checkKey)
	}
	switch active := auth.child("active_key"); {
	case ids[0] || !v.ok(active) || !v.ok(list):
	case !active.exists() && len(a.Keys) > 1:
		v.errorf(active, "is missing, required with several keys is the id of the one that signs")
	case !active.exists():
		a.ActiveKey = a.Keys[0].ID
	case !ids[a.ActiveKey]:
		v.errorf(active, "there is no key with the id %d, the first is %d in %s", a.ActiveKey, a.Keys[0].ID, ref(first))
	}
	if mode := auth.child("mode"); a.Mode != "enforce" && mode.exists() && v.ok(mode) {
		v.warnf(mode, "%q takes adverts that are not signed, from anybody: for the time of an introduction only", a.Mode)
	}
	if a.AntiReplay == "time" && !auth.child("time_window").exists() {
		a.TimeWindow = Duration(min(max(3*in.AdvertInterval.D(), 5*time.Second), 300*time.Second))
	}
}
