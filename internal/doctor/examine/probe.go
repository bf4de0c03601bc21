package examine

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"director/internal/doctor"
	"director/vrrp/link"
)

const (
	// probeTime is how long an answer is waited for.
	probeTime = 500 * time.Millisecond
	// probesAtOnce bounds how many questions are open: each has a socket and a thread.
	probesAtOnce = 64
)

// probe asks who has the virtual addresses. Interfaces that are missing or down are
// left out: other checks tell of them.
func (e *examination) probe() {
	up := make(map[string]bool)
	for _, l := range e.facts.Links {
		up[l.Name] = l.Up && l.Carrier
	}
	var mu sync.Mutex
	var failed error
	answers := make(map[netip.Addr]string)
	var all sync.WaitGroup
	slots := make(chan struct{}, probesAtOnce)
	for _, p := range doctor.Probes(e.Config) {
		if !up[p.Device] {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			mac, err := link.ProbeAddress(context.Background(), p.Device, p.Addr, probeTime)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			answers[p.Addr] = net.HardwareAddr(mac).String()
		})
	}
	all.Wait()
	e.facts.Answers = answers
	if failed != nil {
		e.unseen("who answers for virtual addresses", failed)
	}
}
