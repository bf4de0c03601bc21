package examine

import (
	"context"
	"fmt"
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
	// mostSuspects bounds how many real servers are asked for: that is half a minute.
	mostSuspects = 4096
)

// probe asks who has the virtual addresses, and who the hosts are that say so.
func (e *examination) probe() {
	e.facts.Answers = make(map[netip.Addr]string)
	e.ask(doctor.Probes(e.Config))
	suspects := doctor.Suspects(e.Config, e.facts)
	if len(suspects) > mostSuspects {
		e.facts.Unseen = append(e.facts.Unseen, doctor.Unseen{What: "who answers for virtual addresses", Why: fmt.Sprintf("of %d real servers that may, the first %d were asked for", len(suspects), mostSuspects)})
		suspects = suspects[:mostSuspects]
	}
	e.ask(suspects)
}

// ask puts questions on the links. Interfaces that are missing or down are left out:
// other checks tell of them.
func (e *examination) ask(list []doctor.Probe) {
	up := make(map[string]bool)
	for _, l := range e.facts.Links {
		up[l.Name] = l.Up && l.Carrier
	}
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	slots := make(chan struct{}, probesAtOnce)
	for _, p := range list {
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
			e.facts.Answers[p.Addr] = net.HardwareAddr(mac).String()
		})
	}
	all.Wait()
	if failed != nil {
		e.unseen("who answers for virtual addresses", failed)
	}
}
