package watchdog

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"director/config"
	"director/internal/control"
)

// News is what the parent tells an observer process: any of its fields is set.
type News struct {
	Settings *Settings       // the first, and only there
	Config   *OpenConfig     // in force, before a state of it
	Status   *control.Status // the whole, as it is now
	Events   []control.Event // oldest first
	LogLevel *LogLevel       // in place of that of Settings
}

// OpenConfig is a configuration without its secrets.
type OpenConfig struct{ *config.Config }

// GobEncode writes it as JSON, in which secrets hide themselves.
func (c OpenConfig) GobEncode() ([]byte, error) { return json.Marshal(c.Config) }

// GobDecode implements gob.GobDecoder.
func (c *OpenConfig) GobDecode(text []byte) error { return json.Unmarshal(text, &c.Config) }

// Feed is an observer process's end of the channel to the parent. It is the reading end
// of a pipe: nothing can be sent on it, and no type of this package lets anybody try.
//
// What comes is gob, not JSON: both ends are one program, and the state of a farm with
// 40,000 servers is a quarter as long and read in an eighth of the time.
type Feed struct {
	file *os.File
	news *gob.Decoder
	rest *News // what came with the settings and was not asked for yet
	// level is called with each log level that is ordered, unless it is nil.
	level func(*LogLevel)
}

// NewFeed reads from f, the reading end of a pipe, which it owns from then on. It
// refuses what could be written to.
func NewFeed(f *os.File) (*Feed, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %s: %w", f.Name(), err)
	}
	var flags int
	controlErr := raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) })
	if err := errors.Join(controlErr, err); err != nil {
		return nil, fmt.Errorf("watchdog: %s: %w", f.Name(), err)
	}
	if flags&unix.O_ACCMODE != unix.O_RDONLY {
		return nil, fmt.Errorf("watchdog: %s is not the reading end of a pipe", f.Name())
	}
	return &Feed{file: f, news: gob.NewDecoder(bufio.NewReaderSize(f, feedChunk))}, nil
}

// settings waits for what the parent tells first. What comes with it is the next news.
func (f *Feed) settings() (*Settings, error) {
	n, err := f.Next()
	if err != nil {
		return nil, err
	}
	s := n.Settings
	if s == nil || s.Web == nil && s.SNMP == nil {
		return nil, errors.New("watchdog: the feed does not begin with settings")
	}
	n.Settings = nil
	f.rest = &n
	return s, nil
}

// Next waits for what the parent tells next. It returns io.EOF when the parent is
// gone.
func (f *Feed) Next() (News, error) {
	if n := f.rest; n != nil {
		f.rest = nil
		return *n, nil
	}
	var n News
	err := f.news.Decode(&n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return News{}, io.EOF
	}
	if err != nil {
		return News{}, fmt.Errorf("watchdog: feed: %w", err)
	}
	if n.LogLevel != nil && f.level != nil {
		f.level(n.LogLevel)
	}
	if n.Status != nil {
		keepLists(n.Status)
	}
	return n, nil
}

func (n *News) empty() bool {
	return n.Settings == nil && n.Config == nil && n.Status == nil && n.LogLevel == nil && len(n.Events) == 0
}

// keepLists makes lists of those that gob has left out because they are empty: who reads
// the state as JSON finds a list, not null.
func keepLists(s *control.Status) {
	s.Processes = list(s.Processes)
	if v := s.VRRP; v != nil {
		v.Instances, v.Scripts = list(v.Instances), list(v.Scripts)
		for i := range v.Alarms {
			v.Alarms[i].Evidence = list(v.Alarms[i].Evidence)
		}
		for i := range v.Instances {
			v.Instances[i].Addresses = list(v.Instances[i].Addresses)
		}
		for i := range v.Groups {
			v.Groups[i].Members = list(v.Groups[i].Members)
		}
	}
	keepFarmLists(s.Checkers)
}

// keepFarmLists is keepLists for the checkers' part.
func keepFarmLists(c *control.Checkers) {
	if c == nil {
		return
	}
	c.Services = list(c.Services)
	if c.Sync != nil {
		c.Sync.Daemons = list(c.Sync.Daemons)
	}
	for i := range c.Services {
		v := &c.Services[i]
		v.Servers = list(v.Servers)
		for _, servers := range [][]control.Server{v.Servers, v.SorryServers} {
			for j := range servers {
				servers[j].Checks = list(servers[j].Checks)
			}
		}
	}
}

func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

const (
	// feedChunk is what is written at once: as much as a pipe holds.
	feedChunk = 64 << 10
	// feedPatience is how long an observer may leave a chunk unread before it is
	// taken for hanging.
	feedPatience = 10 * time.Second
	// maxFeedEvents bounds the events that wait for an observer that does not read.
	maxFeedEvents = maxEvents
)

// feeder is the parent's end of the channel to an observer. Its methods never wait:
// a newer status takes the place of one that was not yet written.
type feeder struct {
	pipe     *os.File
	patience time.Duration
	// taken is called when a status was read by the other end, with its size, and ended
	// when writing has failed.
	taken func(size int)
	ended func(error)

	mu     sync.Mutex
	news   News
	closed bool
	wake   chan struct{} // holds a token while news may be waiting
}

func newFeeder(pipe *os.File, settings *Settings, patience time.Duration, taken func(int), ended func(error)) *feeder {
	f := &feeder{
		pipe: pipe, patience: patience, taken: taken, ended: ended,
		news: News{Settings: settings}, wake: make(chan struct{}, 1),
	}
	f.wake <- struct{}{}
	go f.write()
	return f
}

// config has the configuration told, before what is told after it.
func (f *feeder) config(c *config.Config) {
	f.add(func(n *News) { n.Config = &OpenConfig{c} })
}

// status has the whole state told.
func (f *feeder) status(s *control.Status) {
	f.add(func(n *News) { n.Status = s })
}

// level has a log level told.
func (f *feeder) level(level string) {
	f.add(func(n *News) { n.LogLevel = &LogLevel{Level: level} })
}

// event has events told; the oldest are left out when too many wait.
func (f *feeder) event(list ...control.Event) {
	f.add(func(n *News) {
		n.Events = append(n.Events, list...)
		n.Events = n.Events[max(0, len(n.Events)-maxFeedEvents):]
	})
}

func (f *feeder) add(change func(*News)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	change(&f.news)
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// close ends the channel; the process reads io.EOF.
func (f *feeder) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.wake)
		f.pipe.Close()
	}
}

// write is the goroutine that encodes and writes.
func (f *feeder) write() {
	var text bytes.Buffer
	encoder := gob.NewEncoder(&text)
	for range f.wake {
		f.mu.Lock()
		news := f.news
		f.news = News{}
		f.mu.Unlock()
		if news.empty() { // taken together with what was told before it
			continue
		}
		text.Reset()
		err := encoder.Encode(news)
		for rest := text.Bytes(); err == nil && len(rest) > 0; {
			n := min(len(rest), feedChunk)
			if err = f.pipe.SetWriteDeadline(time.Now().Add(f.patience)); err == nil {
				_, err = f.pipe.Write(rest[:n])
			}
			rest = rest[n:]
		}
		if err == nil {
			err = f.drained()
		}
		if err != nil {
			f.ended(err)
			return
		}
		if news.Status != nil {
			f.taken(text.Len())
		}
	}
}

// drained waits until the other end has read everything.
func (f *feeder) drained() error {
	raw, err := f.pipe.SyscallConn()
	if err != nil {
		return err
	}
	for began, pause := time.Now(), 100*time.Microsecond; ; pause = min(2*pause, 50*time.Millisecond) {
		var unread int
		if controlErr := raw.Control(func(fd uintptr) { unread, err = unix.IoctlGetInt(int(fd), unix.TIOCINQ) }); controlErr != nil || err != nil {
			return errors.Join(controlErr, err)
		}
		switch {
		case unread == 0:
			return nil
		case time.Since(began) > f.patience:
			return fmt.Errorf("watchdog: feed: %d bytes are not read: %w", unread, os.ErrDeadlineExceeded)
		}
		time.Sleep(pause)
	}
}
