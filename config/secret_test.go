package config

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretIsHidden formats and logs a password in every way there is.
func TestSecretIsHidden(t *testing.T) {
	const password = "geheim7"
	cfg, err := Parse("x.toml", []byte(`[vrrp_instance.VI_1]
interface = "eth0"
virtual_router_id = 1
version = 2
virtual_ipaddress = ["192.0.2.1"]
authentication.password = "`+password+`"`))
	if err != nil {
		t.Fatal(err)
	}
	in := cfg.Instances[0]
	if string(in.Authentication.Password) != password {
		t.Fatal("the password was not read")
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%U", "%10s", "%T"} {
		for _, v := range []any{in.Authentication.Password, in.Authentication, in, *cfg, cfg, &in, cfg.Instances,
			struct{ In Instance }{in}, map[string]Secret{"k": in.Authentication.Password}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, in.Authentication.Password, in.Authentication.Password.String(), errors.New("x"))
	fmt.Fprint(&out, fmt.Errorf("%w %v", errors.New("x"), in))
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		log := slog.New(h)
		log.Info("x", "secret", in.Authentication.Password, "auth", in.Authentication, "instance", in, "p", &in,
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
		"[notify.webhook]\nurl = \"https://h/"+password+"\"\nsecret = \""+password+"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := cfg.Notify.Mail
	if string(m.Password) != password {
		t.Fatal("the password was not read")
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{*m, m, *cfg.Notify.Webhook, cfg.Notify.Webhook, cfg.Notify, *cfg} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("x", "mail", *m, "pointer", m, "webhook", *cfg.Notify.Webhook, "channels", cfg.Notify, "config", cfg)
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
