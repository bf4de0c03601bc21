package test

import (
	"os"
	"testing"
)

// TestInitPair runs the two files that director init writes, as they are: the better
// host has the address, and the other one takes it over.
func TestInitPair(t *testing.T) {
	t.Parallel()
	for name, more := range map[string][]string{
		"multicast, signed": {"--nopreempt", "yes"},
		"unicast, tracking": {"--adverts", "unicast", "--sign", "no", "--track", "director"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			dir := t.TempDir()
			run := func(args ...string) {
				if out, err := p.a.Run(append([]string{binary(t)}, args...)...); err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
			}
			run(append([]string{"init", "--output", dir, "--a", "lb1=192.0.2.1", "--b", "lb2=192.0.2.2",
				"--interface", "eth0", "--vip", "192.0.2.100/24", "--vrid", "51"}, more...)...)
			read := func(file string) string {
				text, err := os.ReadFile(dir + "/" + file)
				p.Must(err)
				return string(text)
			}
			run("check", "--strict", dir+"/lb1.toml", "--peer", dir+"/lb2.toml")
			a := startDirector(t, p.a, read("lb1.toml"))
			a.WaitInstance("main", "MASTER", patience)
			b := startDirector(t, p.b, read("lb2.toml"))
			p.onlyOn(p.a, vip, patience)
			b.WaitInstance("main", "BACKUP", patience)
			a.Stop()
			p.onlyOn(p.b, vip, patience)
		})
	}
}
