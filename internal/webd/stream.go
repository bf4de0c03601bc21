package webd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"director/internal/control"
)

const (
	// streamQueue is how many events wait for a client that is slow.
	streamQueue = 64
	// streamWrite is how long a client may take for what is sent at once.
	streamWrite = 5 * time.Second
	// streamPulse is the longest silence on a stream.
	streamPulse = 15 * time.Second
)

// streams is the clients of the event stream. Publishing never waits for any of them.
type streams struct {
	most int

	mu  sync.Mutex
	all map[*stream]bool
}

// stream is one client.
type stream struct {
	wake chan struct{} // holds a token while something waits

	mu     sync.Mutex
	number uint64 // of the newest state, 0: it was sent
	events []control.Event
	lost   bool // events were left out
}

func newStreams(most int) *streams { return &streams{most: most, all: make(map[*stream]bool)} }

// open adds a client, nil when there are too many.
func (l *streams) open() *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= l.most {
		return nil
	}
	s := &stream{wake: make(chan struct{}, 1)}
	l.all[s] = true
	return s
}

func (l *streams) close(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, s)
}

// publish tells all clients of events, and of a state unless its number is 0.
func (l *streams) publish(number uint64, events []control.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := range l.all {
		s.add(number, events)
	}
}

// add queues what is to be sent.
func (s *stream) add(number uint64, events []control.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number > 0 {
		s.number = number
	}
	s.events = append(s.events, events...)
	if over := len(s.events) - streamQueue; over > 0 {
		s.events, s.lost = append([]control.Event(nil), s.events[over:]...), true
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// text takes what waits, in the format of server-sent events.
func (s *stream) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	if s.lost {
		b.WriteString("event: lost\ndata: \n\n")
	}
	for _, e := range s.events {
		text, err := json.Marshal(e)
		if err == nil {
			fmt.Fprintf(&b, "id: %d\nevent: change\ndata: %s\n\n", e.Seq, text)
		}
	}
	if s.number > 0 {
		fmt.Fprintf(&b, "event: state\ndata: %d\n\n", s.number)
	}
	s.number, s.events, s.lost = 0, nil, false
	return b.String()
}

// stream answers with the events as they come, and the number of each new state. A
// client that does not take them is cut off.
func (d *Daemon) stream(w http.ResponseWriter, r *http.Request) {
	s := d.streams.open()
	if s == nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many clients follow the events", http.StatusServiceUnavailable)
		return
	}
	defer d.streams.close(s)
	out := http.NewResponseController(w)
	send := func(text string) bool {
		if out.SetWriteDeadline(time.Now().Add(streamWrite)) != nil {
			return false
		}
		_, err := fmt.Fprint(w, text)
		return err == nil && out.Flush() == nil
	}
	// The limit of a request is none of its answer.
	if err := out.SetReadDeadline(time.Time{}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if v := d.view.Load(); v != nil {
		s.add(v.number, nil)
	}
	if !send("retry: 2000\n\n") {
		return
	}
	pulse := time.NewTicker(streamPulse)
	defer pulse.Stop()
	for {
		text := ": alive\n\n"
		select {
		case <-s.wake:
			text = s.text()
		case <-pulse.C:
		case <-r.Context().Done():
			return
		}
		if !send(text) {
			return
		}
	}
}
