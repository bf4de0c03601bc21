package config

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSecretIsHidden formats and logs a password in every way there is.
func TestSecretIsHidden(t *testing.T) {
	const password = "geheim7"
	cfg, err := Parse("x.toml", []byte(`[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 1
version = 2
virtual_ipaddress = ["192.0.2.1"]
authentication.password = "`+password+`"
[vrrp_instance.VI_2]
interface = "eth0"
virtual_router_id = 2
virtual_ipaddress = ["192.0.2.2"]
authentication = { type = "HMAC", keys = [{ id = 1, key = "`+strings.Repeat(password, 5)+`" }, { id = 2, key = "hex:`+fmt.Sprintf("%x", strings.Repeat(password, 5))+`" }], active_key = 1 }
`))
	if err != nil {
		t.Fatal(err)
	}
	in := cfg.Instances[0]
	if keys := cfg.Instances[1].Authentication.Keys; string(in.Authentication.Password) != password ||
		string(keys[0].Key) != strings.Repeat(password, 5) || len(keys[1].Key) != 74 {
		t.Fatal("the secrets were not read")
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%U", "%10s", "%T"} {
		for _, v := range []any{in.Authentication.Password, in.Authentication, in, *cfg, cfg, &in, cfg.Instances,
			cfg.Instances[1].Authentication, &cfg.Instances[1].Authentication, cfg.Instances[1].Authentication.Keys, &cfg.Instances[1].Authentication.Keys[0],
			struct{ In Instance }{in}, map[string]Secret{"k": in.Authentication.Password}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, in.Authentication.Password, in.Authentication.Password.String(), errors.New("x"))
	fmt.Fprint(&out, fmt.Errorf("%w %v", errors.New("x"), in))
	for _, v := range []any{*cfg, cfg, in, cfg.Instances, cfg.Instances[1].Authentication.Keys, map[string]any{"p": in.Authentication.Password}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out.Write(text)
	}
	for _, v := range []any{cfg, in, cfg.Instances, in.Authentication.Password} {
		if err := gob.NewEncoder(&out).Encode(v); err != nil {
			t.Error(err)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		log.Info("x", "keys", cfg.Instances[1].Authentication.Keys, "instances", cfg.Instances, "secret", in.Authentication.Password, "auth", in.Authentication, "instance", in, "p", &in,
			"config", *cfg, "config pointer", cfg)
		log.With("c", cfg).WithGroup("g").Info("x", slog.Any("i", in))
	}
	if i := strings.Index(out.String(), password); i >= 0 {
		t.Errorf("the password is in the output: ...%q", out.String()[max(0, i-100):i+20])
	}
	for _, hexed := range []string{fmt.Sprintf("%x", password), fmt.Sprintf("%X", password)} {
		if strings.Contains(out.String(), hexed) {
			t.Error("the password is in the output in hexadecimal")
		}
	}
	if got := fmt.Sprintf("%v %s %q %d %#v", Secret("a"), Secret("b"), Secret("c"), Secret("d"), Secret("e")); got != `*** *** "***" *** config.Secret("***")` {
		t.Errorf("secrets print as %s", got)
	}
}

// TestErrorsHideSecrets puts a password where it does not belong.
func TestErrorsHideSecrets(t *testing.T) {
	for _, line := range []string{
		`authentication.password = "geheim-too-long"`,
		`authentication.password = "geheim\u0000"`,
		`authentication.password = ["geheim"]`,
		`authentication.password = { geheim = 1 }`,
		`authentication.password = geheim`,
		`authentication.password = 'geheim`,
		`authentication.password = "geheim" "geheim"`,
		`authentication.password = "geheim\q"`,
		`authentication.password = "geheim\x`,
		`authentication = "geheim"`,
		`authentication = ["PASS", "geheim"]`,
		`authentication = { pasword = "geheim" }`,
		`authentication = { type = "PASS", auth_pass = "geheim" }`,
		`auth_pass = "geheim"`,
		`authentication.auth_pass = geheim`,
	} {
		_, _, err := ParseWithWarnings("x.toml", []byte("[vrrp_instance.VI_1]\ninterface = \"eth0\"\n"+
			"virtual_router_id = 1\nversion = 2\nvirtual_ipaddress = [\"192.0.2.1\"]\n"+line+"\n"))
		switch {
		case err == nil:
			t.Errorf("no error for %s", line)
		case strings.Contains(err.Error(), "geheim") && !strings.Contains(line, "{ geheim"):
			t.Errorf("%s\ngives %v", line, err)
		case !strings.HasPrefix(err.Error(), "x.toml:6: ") && !strings.HasSuffix(line, `\x`): // seen one line too late
			t.Errorf("%s\nis not in line 6: %v", line, err)
		}
	}
	// A password of digits is the most common one to be written without quotes.
	_, err := Parse("x.toml", []byte("[vrrp_instance.VI_1]\nauthentication.password = 4711_x\n"))
	if err == nil || strings.Contains(err.Error(), "x'") || strings.Contains(err.Error(), "4711") {
		t.Errorf("got %v", err)
	}
}

// TestChannelSecretsAreHidden does the same with the secrets of mail and webhook.
func TestChannelSecretsAreHidden(t *testing.T) {
	const password = "geheim7"
	const text = "[vrrp_instance.a]\ninterface = \"eth0\"\nvirtual_router_id = 1\nvirtual_ipaddress = [\"192.0.2.1\"]\n" +
		"[notify.mail]\nto = \"a@example.com\"\nserver = \"mx\"\nuser = \"u\"\n"
	cfg, err := Parse("x.toml", []byte(text+"password = \""+password+"\"\n"+
		"[notify.webhook]\nurl = \"https://h/"+password+"\"\nsecret = \""+password+"\"\n"+
		"[notify.snmp]\nmanager = \"h\"\nversion = \"3\"\nuser = \"u\"\nauth_password = \""+password+password+"\"\npriv_password = \""+password+password+"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := cfg.Notify.Mail
	if string(m.Password) != password {
		t.Fatal("the password was not read")
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{*m, m, *cfg.Notify.Webhook, cfg.Notify.Webhook, *cfg.Notify.SNMP, cfg.Notify.SNMP, cfg.Notify, *cfg} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "mail", *m, "pointer", m, "webhook", *cfg.Notify.Webhook, "snmp", *cfg.Notify.SNMP, "snmp pointer", cfg.Notify.SNMP, "channels", cfg.Notify, "config", cfg)
	}
	for _, line := range []string{"password = geheim7", "password = \"geheim7", "password = [\"geheim7\"]", "password = 'geheim7' x",
		"[notify.webhook]\nurl = \"ftp://geheim7\"", "[notify.webhook]\nurl = geheim7", "[notify.webhook]\nsecret = 'geheim7"} {
		_, err := Parse("x.toml", []byte(text+line+"\n"))
		if err == nil {
			t.Errorf("no error for %s", line)
		}
		fmt.Fprintln(&out, err)
	}
	if strings.Contains(out.String(), password) || strings.Contains(out.String(), fmt.Sprintf("%x", password)) {
		t.Errorf("the password is in the output:\n%s", out.String())
	}
}

// TestFillSecrets gets secrets from outside the text: each goes where it belongs, and
// each fault is told with its place, without what was read.
func TestFillSecrets(t *testing.T) {
	text, err := os.ReadFile("testdata/hmac.good.toml")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "\n[notify.webhook]\nurl = \"http://h\"\nsecret_file = \"/etc/never/read/here\"\n"...)
	const key, password = "geheimgeheimgeheimgeheimgeheimge", "geheim"
	right := map[SecretSource]Secret{{File: "/etc/director/key"}: key, {Credential: "vrrp_2"}: Secret("hex:" + strings.Repeat("0f", 64)),
		{Credential: "k"}: key, {File: "/etc/director/password"}: password, {Credential: "pass"}: "p"}
	fill := func(read map[SecretSource]Secret) (*Config, error) {
		cfg, err := Parse("x.toml", text)
		if err != nil {
			t.Fatal(err)
		}
		return cfg, FillSecrets(Positions("x.toml", text), cfg, func(s SecretSource) (Secret, error) {
			if value, ok := read[s]; ok {
				return value, nil
			}
			return "", errors.New(s.File + s.Credential + " is not there")
		})
	}
	cfg, err := fill(right)
	if err != nil {
		t.Fatal(err)
	}
	in := cfg.Instances
	if k, err := in[1].Authentication.Keys[1].Bytes(); in[0].Authentication.Keys[0].Key != key || err != nil || len(k) != 64 || k[63] != 15 ||
		in[4].Authentication.Password != password || in[5].Authentication.Password != "p" || in[3].Authentication.Keys[0].Key != key {
		t.Error("a secret is not where it belongs")
	}
	_, err = fill(map[SecretSource]Secret{{File: "/etc/director/key"}: Secret(key[:6]), {File: "/etc/director/password"}: "geheimgeheim",
		{Credential: "k"}: "geheim\xff" + key, {Credential: "pass"}: "geh\x00eim"})
	want := `x.toml:5: vrrp_instance.file.authentication.keys[0].key_file: /etc/director/key: the key has 6 bytes, allowed are 32 to 64, such as the output of: echo hex:$(openssl rand -hex 32)
x.toml:23: vrrp_instance.rotation.authentication.keys[1].credential: vrrp_2 is not there
x.toml:33: vrrp_instance.slow.authentication.keys[0].credential: k: the key holds bytes that are no text, allowed are text, or hex: and hexadecimal digits
x.toml:39: vrrp_instance.window.authentication.keys[0].credential: k: the key holds bytes that are no text, allowed are text, or hex: and hexadecimal digits
x.toml:46: vrrp_instance.ah.authentication.password_file: /etc/director/password: the password has 12 bytes, allowed are 1 to 8: an advert holds no more, and keepalived silently cuts off the rest (a peer that does so expects the first 8)
x.toml:53: vrrp_instance.pass.authentication.credential: pass: the password holds a NUL byte, allowed are 1 to 8 bytes without it`
	if d := cmp.Diff(want, fmt.Sprint(err)); d != "" {
		t.Error(d)
	}
	list := cfg.OutsideSecrets()
	if last := list[len(list)-1]; len(list) != 7 || !last.AtUse || last.Key() != "notify.webhook.secret_file" || list[0].Key() != "vrrp_instance.file.authentication.keys[0].key_file" {
		t.Errorf("%d secrets outside, the last %+v", len(list), last.Key())
	}
	short := cfg.TakeSecrets()
	if cfg.PutSecrets(short[1:]) || !cfg.PutSecrets(short) {
		t.Error("a wrong number of secrets is taken, or the right one is not")
	}
}
