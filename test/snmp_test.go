package test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// net-snmp's snmptrapd gets the traps of a takeover, in version 2c and, signed and
// encrypted, in version 3, and decodes them.
func TestSNMPTraps(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const port = 1162
	// The engine's ID is made of the router_id.
	_, err := p.client.WriteFile("snmptrapd.conf", "authCommunity log geheim\n"+
		"createUser -e 0x80002572046c622d61 director SHA-256 \"geheim-auth\" AES \"geheim-priv\"\nauthUser log director authpriv\n")
	p.Must(err)
	d := p.Start(p.client, "snmptrapd", "env", "MIBS=", "SNMP_PERSISTENT_DIR="+p.client.Path("snmp"), "snmptrapd", "-f", "-C",
		"-c", p.client.Path("snmptrapd.conf"), "-Lo", "-On", "-F", "%v ### %s\\n", fmt.Sprintf("udp:192.0.2.50:%d", port))
	p.Within(patience, "snmptrapd is ready", func() bool { return strings.Contains(d.Log(), "NET-SNMP version") })
	for _, version := range []string{"2c", "3"} {
		conf := "global.router_id = \"lb-a\"\n" + vrrp("VI", 51, 100, "192.0.2.100/24", fast) +
			fmt.Sprintf("[notify.snmp]\nmanager = \"192.0.2.50:%d\"\nversion = %q\n", port, version)
		if version == "2c" {
			p.Must(os.WriteFile(p.a.Path("community"), []byte("geheim\n"), 0o600))
			conf += fmt.Sprintf("community_file = %q\n", p.a.Path("community"))
		} else {
			conf += "user = \"director\"\nauth_password = \"geheim-auth\"\npriv_password = \"geheim-priv\"\n"
		}
		before := len(d.Log())
		a := startDirector(t, p.a, conf)
		a.WaitInstance("VI", "MASTER", patience)
		p.Eventually(patience, "traps of version "+version, func() error {
			got := d.Log()[before:]
			for _, want := range []string{
				// vrrpInstanceStateChange, to MASTER, from lb-a
				".1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.4.1.9586.100.5.2.10.0.2",
				".1.3.6.1.4.1.9586.100.5.2.3.1.2.1 = STRING: \"VI\"",
				".1.3.6.1.4.1.9586.100.5.2.3.1.4.1 = INTEGER: 2",
				".1.3.6.1.4.1.9586.100.5.1.2.0 = STRING: \"lb-a\"",
				// vrrpv3NewMaster, because the master did not answer
				".1.3.6.1.6.3.1.1.4.1.0 = OID: .1.3.6.1.2.1.207.0.1",
				".51.1 = Hex-STRING: C0 00 02 01",
				".51.1 = INTEGER: 3",
				".1.3.6.1.4.1.8072.9999.9999.1.4.0 = STRING: \"BACKUP\"",
				".1.3.6.1.4.1.8072.9999.9999.1.5.0 = STRING: \"MASTER\"",
				".1.3.6.1.4.1.8072.9999.9999.1.6.0 = STRING: \"no master heard for ",
				".1.3.6.1.4.1.8072.9999.9999.1.7.0 = STRING: \"master_down\"",
			} {
				if !strings.Contains(got, want) {
					return fmt.Errorf("no %s in\n%s", want, got)
				}
			}
			return nil
		})
		if n := a.Status().Notify; len(n) != 1 || n[0].Channel != "snmp" || n[0].Sent < 2 || n[0].Failed > 0 {
			t.Errorf("status %+v", n)
		}
		if text, err := a.CLI("status", "--json"); err != nil || strings.Contains(text+a.Log(), "geheim") {
			t.Errorf("%v, a secret is shown", err)
		}
		a.Stop()
	}
}
