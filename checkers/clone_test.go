package checkers

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"director/ipvs"
)

// reach notes what can be reached from v by pointers, slices and maps, but for what is
// never changed: configurations.
func reach(v reflect.Value, path string, found map[uintptr]string) {
	switch v.Type() {
	case reflect.TypeFor[PoolConfig](), reflect.TypeFor[ServerConfig](), reflect.TypeFor[CheckConfig](), reflect.TypeFor[time.Time](), reflect.TypeFor[netip.AddrPort]():
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			found[v.Pointer()] = path
			reach(v.Elem(), path, found)
		}
	case reflect.Slice:
		if v.Len() > 0 {
			found[v.Pointer()] = path
		}
		for i := range v.Len() {
			reach(v.Index(i), fmt.Sprintf("%s[%d]", path, i), found)
		}
	case reflect.Map:
		if v.Len() > 0 {
			found[v.Pointer()] = path
		}
	case reflect.Struct:
		for i := range v.NumField() {
			reach(v.Field(i), path+"."+v.Type().Field(i).Name, found)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	now := time.Unix(1000, 0)
	server := func(n int) ServerConfig {
		return ServerConfig{
			Name: fmt.Sprint(n), Key: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 80), Dest: ipvs.Destination{Weight: 1},
			Checks: []CheckConfig{{ID: CheckID(fmt.Sprint(n)), Thresholds: Thresholds{Rise: 1, Fall: 1}}},
		}
	}
	cfg := PoolConfig{Name: "web", Quorum: 1, DrainOnRemove: time.Minute, Sorry: []ServerConfig{server(9)}, Servers: []ServerConfig{server(1), server(2), server(3)}}
	p, _ := NewPool(cfg, nil, nil, now)
	for _, s := range p.All() {
		p.Step(now, s, s.Checks[0], Result{Outcome: Pass, At: now})
	}
	cfg.Servers = cfg.Servers[:2]
	p.Apply(cfg, now)
	for _, s := range p.Servers() {
		p.Step(now, s, s.Checks[0], Result{Outcome: Fail, At: now})
	}
	if len(p.Leaving()) != 1 || p.Answers() == nil {
		t.Fatal("the pool has no server that leaves and no sorry server that answers, which the test needs")
	}
	before := fmt.Sprint(p.Entry())

	c := p.Clone()
	mine, its := map[uintptr]string{}, map[uintptr]string{}
	reach(reflect.ValueOf(p), "pool", mine)
	reach(reflect.ValueOf(c), "clone", its)
	for at, path := range its {
		if shared, is := mine[at]; is {
			t.Errorf("%s is shared with %s", path, shared)
		}
	}
	if got := fmt.Sprint(c.Entry()); got != before {
		t.Errorf("the clone wants %s, the pool %s", got, before)
	}
	s := c.Servers()[0]
	c.Step(now, s, s.Checks[0], Result{Outcome: Pass, At: now})
	c.Gone(p.Leaving()[0].Key)
	if got := fmt.Sprint(p.Entry()); got != before || fmt.Sprint(c.Entry()) == before {
		t.Errorf("after a change of the clone the pool wants %s, the clone %v", got, c.Entry())
	}
}
