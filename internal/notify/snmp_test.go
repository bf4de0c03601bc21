package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gosnmp/gosnmp"

	"director/config"
	"director/internal/control"
	"director/internal/netlab/labtest"
)

// trapSettings are what config.Parse makes of a manager on this host.
func trapSettings(manager string) *config.SNMP {
	return &config.SNMP{Manager: manager, Version: "2c", Community: "geheim", Enterprise: "1.3.6.1.4.1.8072.9999.9999",
		Timeout: config.Duration(5 * time.Second), Retries: 3, Events: []string{"instance", "group", "process"}}
}

// manager is somebody who gets traps, on a port of its own.
func manager(t *testing.T, params *gosnmp.GoSNMP) (address string, traps chan *gosnmp.SnmpPacket) {
	t.Helper()
	address = labtest.FreePort(t).String()
	traps = make(chan *gosnmp.SnmpPacket, 16)
	l := gosnmp.NewTrapListener()
	l.Params = params
	l.OnNewTrap = func(p *gosnmp.SnmpPacket, _ *net.UDPAddr) { traps <- p }
	go func() {
		if err := l.Listen(address); err != nil {
			t.Error(err)
		}
	}()
	<-l.Listening()
	t.Cleanup(l.Close)
	return address, traps
}

// show writes the objects of a trap but for the time.
func show(p *gosnmp.SnmpPacket) string {
	var list []string
	for _, v := range p.Variables[1:] {
		value := fmt.Sprint(v.Value)
		if b, ok := v.Value.([]byte); ok {
			value = string(b)
			if strings.HasPrefix(v.Name, "."+oidMasterIPAddr) {
				value = fmt.Sprint(b)
			}
		}
		list = append(list, strings.TrimPrefix(v.Name, ".1.3.6.1.")+" = "+value)
	}
	return strings.Join(list, "\n")
}

func next(t *testing.T, traps chan *gosnmp.SnmpPacket) *gosnmp.SnmpPacket {
	t.Helper()
	select {
	case p := <-traps:
		return p
	case <-time.After(time.Minute):
		t.Fatal("no trap")
		return nil
	}
}

func TestTraps(t *testing.T) {
	address, traps := manager(t, gosnmp.Default)
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Global: config.Global{RouterID: "lb-a"},
		Instances: []config.Instance{{Name: "other"}, {Name: "web", Interface: "lo", VRID: 51, Version: 3, InitialState: "BACKUP"}},
		Groups:    []config.SyncGroup{{Name: "farm"}}, Notify: config.Channels{SNMP: trapSettings(address)}}
	n, out := newNotifier(cfg)
	e := change("instance", "web", "BACKUP", "MASTER", "no advert", 7)
	e.Source = "192.0.2.1"
	n.Handle(e)
	own := func(seq int, kind, subject, from, to, reason string) string {
		const at = "4.1.8072.9999.9999.1."
		return fmt.Sprintf("\n%s1.0 = %d\n%s2.0 = %s\n%s3.0 = %s\n%s4.0 = %s\n%s5.0 = %s\n%s6.0 = %s\n%s7.0 = master_down",
			at, seq, at, kind, at, subject, at, from, at, to, at, reason, at)
	}
	if d := cmp.Diff("6.3.1.1.4.1.0 = .1.3.6.1.4.1.9586.100.5.2.10.0.2\n"+
		"4.1.9586.100.5.2.3.1.2.2 = web\n4.1.9586.100.5.2.3.1.4.2 = 2\n4.1.9586.100.5.2.3.1.5.2 = 1\n4.1.9586.100.5.1.2.0 = lb-a"+
		own(7, "instance", "web", "BACKUP", "MASTER", "no advert"), show(next(t, traps))); d != "" {
		t.Error(d)
	}
	row := fmt.Sprintf(".%d.51.1", lo.Index)
	p := next(t, traps)
	if d := cmp.Diff("6.3.1.1.4.1.0 = .1.3.6.1.2.1.207.0.1\n2.1.207.1.1.1.1.3"+row+" = [192 0 2 1]\n2.1.207.1.2.5.1.2"+row+" = 3"+
		own(7, "instance", "web", "BACKUP", "MASTER", "no advert"), show(p)); d != "" {
		t.Error(d)
	}
	if p.Community != "geheim" || p.Version != gosnmp.Version2c || p.Variables[0].Type != gosnmp.TimeTicks {
		t.Errorf("%+v", p)
	}
	n.Handle(change("group", "farm", "MASTER", "FAULT", "web down", 8))
	if d := cmp.Diff("6.3.1.1.4.1.0 = .1.3.6.1.4.1.9586.100.5.2.10.0.1\n4.1.9586.100.5.2.1.1.2.1 = farm\n4.1.9586.100.5.2.1.1.3.1 = 3\n"+
		"4.1.9586.100.5.1.2.0 = lb-a"+own(8, "group", "farm", "MASTER", "FAULT", "web down"), show(next(t, traps))); d != "" {
		t.Error(d)
	}
	n.Handle(change("process", "vrrp", "running", "restarting", "killed", 9))
	if d := cmp.Diff("6.3.1.1.4.1.0 = .1.3.6.1.4.1.8072.9999.9999.0.1\n4.1.9586.100.5.1.2.0 = lb-a"+
		own(9, "process", "vrrp", "running", "restarting", "killed"), show(next(t, traps))); d != "" {
		t.Error(d)
	}
	n.Handle(change("service", "web", "up", "down", "x", 10)) // not asked for
	if err := n.Close(time.Minute); err != nil {
		t.Error(err)
	}
	if st := n.Status()[0]; st.Channel != "snmp" || st.Sent != 3 || st.Failed != 0 || strings.Contains(out.String(), "geheim") {
		t.Errorf("%+v\n%s", st, out)
	}
}

// TestTrapsVersion3: signed and encrypted, with secrets from files.
func TestTrapsVersion3(t *testing.T) {
	for _, protocols := range [][2]string{{"SHA", "AES"}, {"SHA256", "AES"}, {"SHA512", "AES256"}} {
		file := func(text string) string {
			name := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			return name
		}
		s := trapSettings("")
		s.Version, s.User, s.AuthProtocol, s.PrivProtocol = "3", "director", protocols[0], protocols[1]
		s.AuthFile, s.PrivFile = file("geheim-auth"), file("geheim-priv")
		sender := newTrapper(s, "lb-a", time.Now().Add(-time.Minute))
		if got := fmt.Sprintf("%x", sender.engineID()); got != "8000257204"+fmt.Sprintf("%x", "lb-a") {
			t.Errorf("engine %s", got)
		}
		client, err := sender.client(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		usm := client.SecurityParameters.(*gosnmp.UsmSecurityParameters)
		address, traps := manager(t, &gosnmp.GoSNMP{Version: gosnmp.Version3, SecurityModel: gosnmp.UserSecurityModel, MsgFlags: gosnmp.AuthPriv,
			SecurityParameters: &gosnmp.UsmSecurityParameters{UserName: "director", AuthoritativeEngineID: usm.AuthoritativeEngineID,
				AuthenticationProtocol: usm.AuthenticationProtocol, AuthenticationPassphrase: "geheim-auth",
				PrivacyProtocol: usm.PrivacyProtocol, PrivacyPassphrase: "geheim-priv"}})
		sender.host, _, _ = net.SplitHostPort(address)
		_, port, _ := net.SplitHostPort(address)
		sender.port, _ = strconv.Atoi(port)
		h := &held{config: &config.Config{}}
		if err := sender.deliver(context.Background(), &note{held: h, event: change("process", "vrrp", "running", "restarting", "killed", 9)}); err != nil {
			t.Fatal(err)
		}
		if p := next(t, traps); len(p.Variables) != 10 || !strings.Contains(show(p), "killed") || p.MsgFlags&gosnmp.AuthPriv != gosnmp.AuthPriv {
			t.Errorf("%v: %+v", protocols, p)
		}
		if usm.AuthoritativeEngineTime < 60 || usm.AuthoritativeEngineTime > 600 || usm.AuthoritativeEngineBoots < 1<<27 {
			t.Errorf("boots %d, time %d", usm.AuthoritativeEngineBoots, usm.AuthoritativeEngineTime)
		}
	}
}

func TestTrapFailures(t *testing.T) {
	s := trapSettings("127.0.0.1:9")
	s.CommunityFile, s.Community = filepath.Join(t.TempDir(), "x"), ""
	nt := &note{held: &held{config: &config.Config{}}, event: control.Event{Kind: "process"}}
	err := newTrapper(s, "", time.Now()).deliver(context.Background(), nt)
	if err == nil || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "SNMP manager 127.0.0.1:9") {
		t.Errorf("%v", err)
	}
	s = trapSettings("nms..invalid")
	tr := newTrapper(s, "", time.Now())
	if err := tr.deliver(context.Background(), nt); err == nil || tr.port != 162 {
		t.Errorf("port %d, %v", tr.port, err)
	}
	if _, again := tr.again(4, 0); again {
		t.Error("a fourth retry, allowed are three")
	}
	for state, want := range map[string]int{"INIT": 0, "BACKUP": 1, "MASTER": 2, "FAULT": 3, "STOP": 5, "?": 4} {
		if got := control.MIBState(state); got != want {
			t.Errorf("%s is %d", state, got)
		}
	}
}
