package netlab

import (
	"testing"
	"time"
)

func TestLab(t *testing.T) {
	t0 := time.Now()
	lab := NewT(t, "lab")
	a, b := lab.Host("a"), lab.Host("b")
	t.Log(time.Since(t0))
	sw := lab.Switch("lan")
	lab.Connect(a, "eth0", sw, "10.0.0.1/24", "2001:db8::1/64")
	lab.Connect(b, "eth0", sw, "10.0.0.2/24", "2001:db8::2/64")
	t.Log(time.Since(t0))
	t.Log(lab.Run(a, "ping", "-c1", "-W1", "10.0.0.2"))
	t.Log(lab.Run(a, "ping", "-c1", "-W1", "2001:db8::2"))
	t.Log(time.Since(t0))
	t.Log(a.Neighbour(mustAddr("10.0.0.2")))
	t.Log(lab.Run(a, "ip", "addr"))
	p := lab.Start(a, "sleeper", "sleep", "100")
	t.Log(a.Processes(), p.Pid())
	t.Log(p.Stop(time.Second))
}

func TestInsideUML(t *testing.T) {
	if !RequireIPVS(t) {
		return
	}
	t.Run("lab", TestLab)
}
