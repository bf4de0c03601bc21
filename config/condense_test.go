package config

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestCondenseAndExpand condenses any farm, by way of gob, and makes it whole again.
func TestCondenseAndExpand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checks := func(what string) (list []Check) {
			for i := range rapid.IntRange(0, 2).Draw(t, what) {
				list = append(list, Check{Kind: CheckRedis, Path: fmt.Sprint(what, i), Password: Secret(rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "password"))})
			}
			return list
		}
		c := &Config{VirtualServers: make([]VirtualServer, rapid.IntRange(0, 3).Draw(t, "services"))}
		for i := range c.VirtualServers {
			v := &c.VirtualServers[i]
			v.Checks = checks("pool")
			v.RealServers = make([]RealServer, rapid.IntRange(0, 3).Draw(t, "servers"))
			for j := range v.RealServers {
				v.RealServers[j] = RealServer{Weight: j, Checks: v.Checks}
				if rapid.Bool().Draw(t, "own") {
					v.RealServers[j].Checks = checks("server")
				}
			}
		}
		sent, inherits := c.Condense()
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(sent); err != nil {
			t.Fatal(err)
		}
		var got Config
		if err := gob.NewDecoder(&b).Decode(&got); err != nil {
			t.Fatal(err)
		}
		if !got.PutSecrets(sent.TakeSecrets()) || !got.Expand(inherits) {
			t.Fatal("it does not fit")
		}
		if d := cmp.Diff(c, &got, cmpopts.EquateEmpty(), netipTypes, cmp.Comparer(func(a, b Secret) bool { return string(a) == string(b) })); d != "" {
			t.Errorf("-want +got:\n%s", d)
		}
		for i := range c.VirtualServers {
			for j := range c.VirtualServers[i].RealServers {
				v, w := &c.VirtualServers[i], &got.VirtualServers[i]
				if v.lends(v.RealServers[j].Checks) != w.lends(w.RealServers[j].Checks) {
					t.Errorf("server %d of %d has a copy of checks", j, i)
				}
			}
		}
		if len(inherits) > 0 && got.Expand(inherits[1:]) {
			t.Error("what belongs to another configuration is taken")
		}
	})
}
