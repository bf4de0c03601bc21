package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// SecretSource is a secret that a configuration keeps outside its text: exactly
// one of File and Credential is set.
type SecretSource struct {
	File       string // an absolute path
	Credential string // the name of a systemd credential
}

// OutsideSecret is the use of a SecretSource by a configuration.
type OutsideSecret struct {
	SecretSource
	// Path leads to the key that names the source: "notify", "mail",
	// "password_file". An element of a list is "[2]".
	Path []string
	// AtUse says that the secret is read whenever it is needed: a new one needs no
	// reload, and one that is missing stops nothing. Others are read by FillSecrets.
	AtUse bool

	check func(Secret) error
	put   *Secret
}

// Key returns the dotted path.
func (s OutsideSecret) Key() string {
	return DottedKey(s.Path)
}

// DottedKey writes a path of the kind that a Finder takes as errors and warnings name
// it, such as "virtual_server.web.real_server[2]".
func DottedKey(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), ".[", "[")
}

// OutsideSecrets lists the secrets that are not in the text.
func (c *Config) OutsideSecrets() []OutsideSecret {
	var list []OutsideSecret
	add := func(s OutsideSecret, fileKey, credentialKey string, path ...string) {
		key := fileKey
		if s.Credential != "" {
			key = credentialKey
		}
		if s.SecretSource != (SecretSource{}) {
			s.Path = append(path, key)
			list = append(list, s)
		}
	}
	for i := range c.Instances {
		in := &c.Instances[i]
		a := &in.Authentication
		add(OutsideSecret{SecretSource: SecretSource{a.PasswordFile, a.Credential}, check: checkPassword, put: &a.Password},
			"password_file", "credential", "vrrp_instance", in.Name, "authentication")
		for j := range a.Keys {
			k := &a.Keys[j]
			add(OutsideSecret{SecretSource: SecretSource{k.KeyFile, k.Credential}, check: checkKey, put: &k.Key},
				"key_file", "credential", "vrrp_instance", in.Name, "authentication", "keys", "["+strconv.Itoa(j)+"]")
		}
	}
	for i := range c.VirtualServers {
		vs := &c.VirtualServers[i]
		checks := func(list []Check, path ...string) {
			for j := range list {
				ch := &list[j]
				add(OutsideSecret{SecretSource: SecretSource{ch.PasswordFile, ch.Credential}, check: checkLoginPassword, put: &ch.Password},
					"password_file", "credential", append(slices.Clone(path), "check", "["+strconv.Itoa(j)+"]")...)
			}
		}
		checks(vs.Checks, "virtual_server", vs.Name)
		for j := range vs.RealServers {
			if own := vs.RealServers[j].Checks; !vs.Lends(own) {
				checks(own, "virtual_server", vs.Name, "real_server", "["+strconv.Itoa(j)+"]")
			}
		}
		for j := range vs.SorryServers {
			checks(vs.SorryServers[j].Checks, "virtual_server", vs.Name, "sorry_server", "["+strconv.Itoa(j)+"]")
		}
	}
	if r := c.Readiness; r != nil {
		add(OutsideSecret{SecretSource: SecretSource{r.KeyFile, r.Credential}, check: checkKey, put: &r.Key}, "key_file", "credential", "readiness")
	}
	if m := c.Notify.Mail; m != nil {
		add(OutsideSecret{SecretSource: m.PasswordSource(), AtUse: true}, "password_file", "credential", "notify", "mail")
	}
	if w := c.Notify.Webhook; w != nil {
		add(OutsideSecret{SecretSource: w.SecretSource(), AtUse: true}, "secret_file", "credential", "notify", "webhook")
	}
	if s := c.Notify.SNMP; s != nil {
		add(OutsideSecret{SecretSource: s.CommunitySource(), AtUse: true}, "community_file", "credential", "notify", "snmp")
		add(OutsideSecret{SecretSource: s.AuthSource(), AtUse: true}, "auth_password_file", "auth_credential", "notify", "snmp")
		add(OutsideSecret{SecretSource: s.PrivSource(), AtUse: true}, "priv_password_file", "priv_credential", "notify", "snmp")
	}
	return list
}

// FillSecrets reads the secrets that are outside the text and not AtUse, checks
// them as Parse checks those in the text, and puts them into the configuration that
// Parse has just made. find tells where the sources are named. The error is of type Errors and names each key whose secret cannot be used; the
// errors of read have to name the source.
func FillSecrets(find Finder, c *Config, read func(SecretSource) (Secret, error)) error {
	r := &report{}
	for _, s := range c.OutsideSecrets() {
		if s.AtUse {
			continue
		}
		value, err := read(s.SecretSource)
		if err == nil {
			if err = s.check(value); err != nil {
				err = fmt.Errorf("%s%s: %w", s.File, s.Credential, err)
			}
		}
		if err == nil {
			*s.put = value
			continue
		}
		at := find(s.Path...)
		r.errs = append(r.errs, Error{File: at.File, Line: at.Line, Col: at.Col, Key: s.Key(), Msg: err.Error()})
	}
	if len(r.errs) == 0 {
		return nil
	}
	r.sort()
	return r.errs
}

// TakeSecrets returns every secret of the configuration, those that are empty as
// well, in an order that is always the same. Together with the JSON or the gob of the
// configuration, which show none, they make it whole; see PutSecrets.
func (c *Config) TakeSecrets() []string {
	var list []string
	secretWalk{}.each(reflect.ValueOf(c).Elem(), func(s *Secret) { list = append(list, string(*s)) })
	return list
}

// PutSecrets puts the secrets that TakeSecrets returned into a configuration that
// was made of the JSON or the gob of the same one. It reports false when their number is
// another.
func (c *Config) PutSecrets(list []string) bool {
	n := 0
	secretWalk{}.each(reflect.ValueOf(c).Elem(), func(s *Secret) {
		if n < len(list) {
			*s = Secret(list[n])
		}
		n++
	})
	return n == len(list)
}

// secretWalk finds the secrets in values. It remembers for each type in which of
// its fields there can be any: most of a large configuration has none.
type secretWalk map[reflect.Type][]int

// fields returns the fields of a struct that lead to secrets.
func (w secretWalk) fields(t reflect.Type) []int {
	list, known := w[t]
	if known {
		return list
	}
	w[t] = nil
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && w.leads(f.Type) {
			list = append(list, i)
		}
	}
	w[t] = list
	return list
}

func (w secretWalk) leads(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String:
		return t == reflect.TypeFor[Secret]()
	case reflect.Pointer, reflect.Slice:
		return w.leads(t.Elem())
	case reflect.Struct:
		return len(w.fields(t)) > 0
	}
	return false
}

// each calls f for the secrets in v, in order.
func (w secretWalk) each(v reflect.Value, f func(*Secret)) {
	switch {
	case !w.leads(v.Type()):
	case v.Kind() == reflect.String:
		f(v.Addr().Interface().(*Secret))
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			w.each(v.Elem(), f)
		}
	case v.Kind() == reflect.Struct:
		for _, i := range w.fields(v.Type()) {
			w.each(v.Field(i), f)
		}
	default:
		for i := range v.Len() {
			w.each(v.Index(i), f)
		}
	}
}
