package config

import (
	"bytes"
	"encoding/gob"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// drawService returns a virtual server, some of whose servers have its own checks.
func drawService(t *rapid.T) VirtualServer {
	checks := func(what string) (list []Check) {
		for i := range rapid.IntRange(0, 2).Draw(t, what) {
			list = append(list, Check{Kind: CheckRedis, Path: fmt.Sprint(i), Password: Secret(rapid.SampledFrom([]string{"", "x"}).Draw(t, "password"))})
		}
		return list
	}
	v := VirtualServer{Scheduler: rapid.SampledFrom([]string{"rr", "wrr"}).Draw(t, "scheduler"), Checks: checks("pool"),
		RealServers: make([]RealServer, rapid.IntRange(0, 2).Draw(t, "servers"))}
	for j := range v.RealServers {
		v.RealServers[j] = RealServer{Weight: rapid.IntRange(0, 1).Draw(t, "weight"), Checks: v.Checks}
		if rapid.Bool().Draw(t, "own") {
			v.RealServers[j].Checks = checks("server")
		}
	}
	return v
}

// TestSame compares virtual servers, and copies of them in which nothing is shared, with all of their
// values.
func TestSame(t *testing.T) {
	same := 0
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawService(t), drawService(t)
		c := apart(a) // with the checks of another server, or with none
		if len(c.RealServers) > 0 && len(b.RealServers) > 0 {
			c.RealServers[0].Checks = b.RealServers[0].Checks
		}
		for _, b := range []VirtualServer{a, b, c, apart(a), apart(b)} {
			want := cmp.Equal(a, b, cmpopts.EquateEmpty(), netipTypes, cmp.Comparer(func(a, b Secret) bool { return string(a) == string(b) }))
			if got := a.Same(&b); got != want {
				t.Errorf("%v, want %v:\n%+v\n%+v", got, want, a, b)
			}
			if want {
				same++
			}
		}
	})
	if same < 150 {
		t.Errorf("only %d pairs were the same", same)
	}
}

// apart returns a copy in which no server has the very checks of the virtual server.
func apart(v VirtualServer) VirtualServer {
	v.RealServers = slices.Clone(v.RealServers)
	for i := range v.RealServers {
		v.RealServers[i].Checks = slices.Clone(v.RealServers[i].Checks)
	}
	return v
}

// TestCondenseAndExpand condenses any farm, by way of gob, and makes it whole again.
func TestCondenseAndExpand(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &Config{VirtualServers: make([]VirtualServer, rapid.IntRange(0, 3).Draw(t, "services"))}
		for i := range c.VirtualServers {
			c.VirtualServers[i] = drawService(t)
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
				if v.Lends(v.RealServers[j].Checks) != w.Lends(w.RealServers[j].Checks) {
					t.Errorf("server %d of %d has a copy of checks", j, i)
				}
			}
		}
		if len(inherits) > 0 && got.Expand(inherits[1:]) {
			t.Error("what belongs to another configuration is taken")
		}
	})
}
