package watchdog

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"director/config"
	"director/internal/control"
)

// carried compares what was sent with what was received.
func carried() cmp.Options {
	return cmp.Options{
		cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
		cmp.Comparer(func(a, b config.Secret) bool { return string(a) == string(b) }),
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
	}
}

// mixedConfig has a server of each kind of relation to the checks of its virtual server, and
// secrets of both children.
func mixedConfig() *config.Config {
	c := conf("web db", "bare farm")
	c.Instances[0].Authentication.Password = "secret"
	v := &c.VirtualServers[1]
	v.Checks = []config.Check{{Kind: config.CheckTCP}, {Kind: config.CheckRedis, Password: "of the pool"}}
	v.RealServers = []config.RealServer{
		{Name: "a", Checks: v.Checks},
		{Name: "b", Checks: []config.Check{{Kind: config.CheckLDAP, Password: "its own"}}},
		{Name: "c"},
		{Name: "d", Checks: v.Checks},
	}
	return c
}

// TestEncloses sends configurations and states, and looks at what arrives.
func TestEncloses(t *testing.T) {
	files, err := filepath.Glob("../../config/testdata/*.toml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	configs := []*config.Config{mixedConfig(), {}}
	for _, file := range append(files, "../../etc/director.toml") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := config.Parse(file, text); err == nil {
			configs = append(configs, c)
		}
	}
	if len(configs) < 10 {
		t.Errorf("only %d valid configurations", len(configs))
	}
	farm := &control.Checkers{Services: []control.Service{{Name: "web", Servers: []control.Server{{Name: "a", Checks: []control.CheckStatus{{Kind: "tcp"}}}}}}}
	resume := &Resume{AliveMono: 42, Snapshot: Snapshot{VRRP: &control.VRRP{Generation: 6}, Checkers: farm}}
	messages := []Message{{Snapshot: &Snapshot{Seq: 3, Checkers: farm}}, {Configure: &Configure{Generation: 1}}}
	for _, c := range configs {
		messages = append(messages, Message{Configure: &Configure{Generation: 7, Config: c, Back: true, Resume: resume}}, Message{Plan: &Configure{Generation: 8, Config: c}})
	}
	for _, m := range messages {
		text, err := encodeMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMessage(text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, got, carried()...); d != "" {
			t.Errorf("-sent +received:\n%s", d)
		}
	}
}

// TestEnclosedChecksAreShared holds that a server has the checks of its virtual server, not a
// copy, after the way as well as before, and that they travel once.
func TestEnclosedChecksAreShared(t *testing.T) {
	c := mixedConfig()
	c.VirtualServers[1].Checks[0].Path = "/once"
	text, err := encodeMessage(Message{Configure: &Configure{Config: c}})
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("/once")); n != 1 {
		t.Errorf("the checks travel %d times", n)
	}
	m, err := decodeMessage(text)
	if err != nil {
		t.Fatal(err)
	}
	v := &m.Configure.Config.VirtualServers[1]
	for j, shared := range []bool{true, false, false, true} {
		if own := v.RealServers[j].Checks; (len(own) > 0 && &own[0] == &v.Checks[0]) != shared {
			t.Errorf("server %d: shared %v", j, !shared)
		}
	}
	if v = &c.VirtualServers[1]; len(v.RealServers[0].Checks) != 2 {
		t.Error("the configuration that was sent has changed")
	}
}

// TestEnclosureMustFit feeds what no parent sends.
func TestEnclosureMustFit(t *testing.T) {
	whole := mixedConfig()
	cfg, inherits := whole.Condense()
	secrets := cfg.TakeSecrets()
	short := inherits[:1]
	long := [][]bool{nil, make([]bool, 5)}
	for name, tc := range map[string]struct {
		head string
		e    enclosure
		want string
	}{
		"whole":           {`{"Configure":{"Generation":1}}`, enclosure{Config: cfg, Inherits: inherits, Secrets: secrets}, ""},
		"plan":            {`{"Plan":{"Generation":1}}`, enclosure{Config: cfg, Inherits: inherits, Secrets: secrets}, ""},
		"secrets missing": {`{"Configure":{"Generation":1}}`, enclosure{Config: cfg, Inherits: inherits, Secrets: secrets[1:]}, "malformed enclosure: the secrets of a configuration are not complete"},
		"too few":         {`{"Configure":{"Generation":1}}`, enclosure{Config: cfg, Inherits: short, Secrets: secrets}, "malformed enclosure: the checks of a configuration are not complete"},
		"too many":        {`{"Configure":{"Generation":1}}`, enclosure{Config: cfg, Inherits: long, Secrets: secrets}, "malformed enclosure: the checks of a configuration are not complete"},
		"in a ping":       {`{"Ping":{"Seq":1}}`, enclosure{Config: cfg, Inherits: inherits, Secrets: secrets}, "malformed enclosure: the message is of a kind that has none of that"},
		"state":           {`{"Configure":{"Generation":1}}`, enclosure{Checkers: &control.Checkers{}}, "malformed enclosure: the message is of a kind that has none of that"},
		"in a snapshot":   {`{"Snapshot":{}}`, enclosure{Config: cfg, Inherits: inherits, Secrets: secrets}, "malformed enclosure: the message is of a kind that has none of that"},
	} {
		out := bytes.NewBufferString(tc.head + "\x00")
		if err := gob.NewEncoder(out).Encode(&tc.e); err != nil {
			t.Fatal(err)
		}
		if _, err := decodeMessage(out.Bytes()); (err == nil) != (tc.want == "") || err != nil && err.Error() != tc.want {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// TestChildrenGetTheirPart holds that each child gets its part of the configuration and no
// secret of another one's.
func TestChildrenGetTheirPart(t *testing.T) {
	c := mixedConfig()
	c.Web, c.SNMP = &config.Web{Listen: []string{"/of the web"}}, &config.SNMPAgent{Socket: "/of snmp"}
	c.Notify.Mail = &config.Mail{Server: "of mail", Password: "geheim"}
	c.Readiness = &config.Readiness{Weight: 5, Key: "schluessel"}
	c.IPVSSync = &config.IPVSSync{Interface: "eth7"}
	c.ServerGroups = []config.VirtualServerGroup{{Name: "group of farms"}}
	c.VirtualServers[0].ActiveWith, c.VirtualServers[1].ActiveWith = "lan", "lan"
	for role, parts := range map[Role]struct{ in, out []string }{
		RoleVRRP: {[]string{"secret", `"web"`, `"db"`, `"Weight":5`, `"ActiveWith":"lan"`},
			[]string{"bare", "of the pool", "its own", `"farm"`, "of the web", "of snmp", "of mail", "geheim", "schluessel", "eth7", "group of farms"}},
		RoleCheckers: {[]string{"of the pool", "its own", `"farm"`, "eth7", "lb1"},
			[]string{"secret", `"web"`, `"db"`, "of the web", "of snmp", "of mail", "geheim", "schluessel", "group of farms"}},
	} {
		m := (&generation{number: 4, config: c, back: true}).configure(role, &Resume{AliveMono: 9})
		if m.Generation != 4 || !m.Back || m.Resume.AliveMono != 9 {
			t.Errorf("%s: %+v", role, m)
		}
		text, err := json.Marshal(struct {
			Config  *config.Config
			Secrets []string
		}{m.Config, m.Config.TakeSecrets()})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts.in {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s misses %q", role, part)
			}
		}
		for _, part := range parts.out {
			if strings.Contains(string(text), part) {
				t.Errorf("%s is told of %q", role, part)
			}
		}
	}
	if len(c.VirtualServers) != 2 || c.Notify.Mail == nil || c.Readiness.Key == "" {
		t.Error("the parent's own configuration has changed")
	}
}

// TestGobLosesNothing looks through the types that are enclosed for what gob would leave out
// without a word: fields that are not exported, and pointers to plain values, which become
// nil when the value is zero.
func TestGobLosesNothing(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var look func(path string, at reflect.Type)
	look = func(path string, at reflect.Type) {
		if seen[at] {
			return
		}
		seen[at] = true
		for _, own := range []reflect.Type{reflect.TypeFor[gob.GobEncoder](), reflect.TypeFor[interface{ MarshalBinary() ([]byte, error) }]()} {
			if at.Implements(own) {
				return
			}
		}
		switch at.Kind() {
		case reflect.Pointer:
			if at.Elem().Kind() != reflect.Struct {
				t.Errorf("%s is a pointer to %v", path, at.Elem())
			}
			look(path, at.Elem())
		case reflect.Slice, reflect.Array:
			look(path, at.Elem())
		case reflect.Map:
			look(path, at.Key())
			look(path, at.Elem())
		case reflect.Struct:
			for i := range at.NumField() {
				f := at.Field(i)
				if !f.IsExported() {
					t.Errorf("%s.%s is not exported", path, f.Name)
				}
				look(path+"."+f.Name, f.Type)
			}
		case reflect.Interface, reflect.Func, reflect.Chan:
			t.Errorf("%s is a %v", path, at.Kind())
		}
	}
	look("enclosure", reflect.TypeFor[enclosure]())
	if len(seen) < 50 {
		t.Errorf("only %d types", len(seen))
	}
}
