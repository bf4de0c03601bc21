package webd

import (
	"sync"
	"time"

	"director/internal/control"
)

const (
	sparkPoints = 60
	// sparkGap is the least time between two points: an event brings a new state at
	// any time.
	sparkGap = 2 * time.Second
)

// spark is the newest rates of a virtual server, oldest first.
type spark struct {
	Seconds     float64  `json:"seconds"`     // from the first point to the last
	Connections []uint64 `json:"connections"` // a second
	Bytes       []uint64 `json:"bytes"`       // a second, in both directions
}

// history is the rates of all virtual servers over the last minutes, for the
// sparklines.
type history struct {
	mu     sync.Mutex
	times  []time.Time
	series map[string]*spark
}

// add takes the rates of a state.
func (h *history) add(now time.Time, s *control.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Checkers == nil || len(h.times) > 0 && now.Sub(h.times[len(h.times)-1]) < sparkGap {
		return
	}
	h.times = append(h.times, now)
	h.times = h.times[max(0, len(h.times)-sparkPoints):]
	former := h.series
	h.series = make(map[string]*spark, len(s.Checkers.Services))
	for i := range s.Checkers.Services {
		v := &s.Checkers.Services[i]
		line := former[v.Name]
		if line == nil {
			line = &spark{}
		}
		line.Connections = push(line.Connections, v.Rates.Connections)
		line.Bytes = push(line.Bytes, v.Rates.InBytes+v.Rates.OutBytes)
		h.series[v.Name] = line
	}
}

// push adds a point to a line, which is made anew: readers keep the former.
func push(line []uint64, n uint64) []uint64 {
	return append(append(make([]uint64, 0, sparkPoints), line[max(0, len(line)-sparkPoints+1):]...), n)
}

// of returns the line of a virtual server.
func (h *history) of(name string) spark {
	h.mu.Lock()
	defer h.mu.Unlock()
	line := h.series[name]
	if line == nil {
		return spark{Connections: []uint64{}, Bytes: []uint64{}}
	}
	s := *line
	if n := len(s.Connections); n > 1 {
		s.Seconds = h.times[len(h.times)-1].Sub(h.times[len(h.times)-n]).Seconds()
	}
	return s
}
