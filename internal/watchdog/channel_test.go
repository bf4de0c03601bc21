package watchdog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
	"director/internal/control"
)

// ends returns the two ends of a channel over a real socket pair.
func ends(t *testing.T) (parent, child *Channel) {
	t.Helper()
	parent, theirs, err := socketPair("test")
	if err != nil {
		t.Fatal(err)
	}
	child, err = NewChannel(theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { parent.Close(); child.Close() })
	return parent, child
}

func bigConfig(n int) *config.Config {
	c := &config.Config{}
	for i := range n {
		c.Instances = append(c.Instances, config.Instance{Name: fmt.Sprintf("instance-%d", i), Interface: strings.Repeat("x", 200)})
	}
	return c
}

func TestChannelCarriesEveryKind(t *testing.T) {
	parent, child := ends(t)
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, m := range []Message{
		{Configure: &Configure{Generation: 3, Config: bigConfig(2), Resume: &Resume{AliveMono: 5, Snapshot: Snapshot{VRRP: &control.VRRP{Generation: 2}}}}},
		{Configure: &Configure{Generation: 4, Config: bigConfig(4000)}}, // many packets
		{Ping: &Ping{Seq: 1}},
		{Stop: &Stop{}},
		{Standing: &Standing{ID: 4, Orders: map[string]control.Override{"web": {Order: control.VerbRelease, Author: "root", Since: at}}}},
		{ScriptDone: &ScriptDone{ID: 1, Name: "chk", OK: true, Result: "exit status 0", Duration: time.Second}},
		{Inquire: &Ping{Seq: 9}},
		{Ack: &Ack{Generation: 3, Error: "no", Final: true}},
		{Pong: &Ping{Seq: 1}},
		{Snapshot: &Snapshot{Seq: 9, Checkers: &control.Checkers{Generation: 1}}},
		{Event: &control.Event{Time: at, Kind: "instance", Subject: "web", From: "BACKUP", To: "MASTER"}},
		{RunScript: &RunScript{ID: 1, Name: "chk"}},
		{Fence: &Fence{ID: 2, Instance: "web", Gate: 1, Peer: "192.0.2.1", Reason: "silence"}},
		{Fenced: &Fenced{ID: 2, Failed: true, Result: "exit status 1"}},
		{Pools: &Pools{States: map[string]string{"web": "up"}}},
		{Roles: &Roles{States: map[string]string{"web": "MASTER"}}},
		{Sessions: &Sessions{States: map[string]Session{"s1": {State: "Up", Verdict: "up", Code: "handshake", Reason: "heard"}}}},
	} {
		parent.Send(m)
		got, err := child.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(m, got, carried()...); d != "" {
			t.Error(d)
		}
	}
}

func TestChannelOrderAndEOF(t *testing.T) {
	parent, child := ends(t)
	for i := range 500 {
		child.Send(Message{Pong: &Ping{Seq: uint64(i + 1)}})
	}
	// The other end leaves packets unread: what was sent before must still arrive.
	parent.Send(Message{Stop: &Stop{}})
	if err := parent.Flush(time.Second); err != nil {
		t.Fatal(err)
	}
	go func() {
		child.Flush(5 * time.Second)
		child.Close()
	}()
	for i := range 500 {
		m, err := parent.Recv()
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if m.Pong == nil || m.Pong.Seq != uint64(i+1) {
			t.Fatalf("message %d: %+v", i, m)
		}
	}
	if m, err := parent.Recv(); err != io.EOF {
		t.Errorf("got %+v, %v, want io.EOF", m, err)
	}
	parent.Send(Message{Stop: &Stop{}}) // nobody is there: must neither block nor panic
	if err := parent.Flush(time.Second); err == nil {
		t.Error("Flush to nobody succeeded")
	}
}

// TestSendNeverBlocks sends far more than the socket holds to an end that does
// not read.
func TestSendNeverBlocks(t *testing.T) {
	parent, child := ends(t)
	text := strings.Repeat("x", 1000)
	start := time.Now()
	for range 5000 {
		child.Send(Message{Ack: &Ack{Error: text}})
	}
	if d := time.Since(start); d > time.Minute { // for ever, if they waited
		t.Errorf("5000 sends took %v", d)
	}
	if err := child.Flush(20 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "not flushed after 20ms") {
		t.Errorf("Flush: %v", err)
	}
	for range 5000 {
		if _, err := parent.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	if err := child.Flush(30 * time.Second); err != nil {
		t.Errorf("Flush: %v", err)
	}
}

func TestSnapshotsCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, child := Pipe()
		defer parent.Close()
		defer child.Close()
		child.Send(Message{Pong: &Ping{Seq: 1}}) // the writer holds this one
		synctest.Wait()
		snap := func(seq, gen uint64) Message {
			return Message{Snapshot: &Snapshot{Seq: seq, VRRP: &control.VRRP{Generation: gen}}}
		}
		child.Send(snap(0, 1))
		child.Send(snap(7, 2)) // asked for: stays
		child.Send(snap(0, 3))
		child.Send(Message{Event: &control.Event{Subject: "web"}})
		child.Send(snap(0, 4))
		child.Send(Message{Pong: &Ping{Seq: 2}})
		var got []string
		for range 5 {
			m, err := parent.Recv()
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case m.Snapshot != nil:
				got = append(got, fmt.Sprintf("snapshot %d/%d", m.Snapshot.Seq, m.Snapshot.VRRP.Generation))
			case m.Event != nil:
				got = append(got, "event "+m.Event.Subject)
			case m.Pong != nil:
				got = append(got, fmt.Sprintf("pong %d", m.Pong.Seq))
			}
		}
		want := []string{"pong 1", "snapshot 7/2", "event web", "snapshot 0/4", "pong 2"}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if err := child.Flush(time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, child := Pipe()
		defer parent.Close()
		defer child.Close()
		child.Send(Message{Pong: &Ping{Seq: 1}})
		synctest.Wait()
		for i := range maxQueuedEvents + 3 {
			child.Send(Message{Event: &control.Event{Seq: uint64(i)}})
		}
		child.Send(Message{Ack: &Ack{Generation: 1}})
		if n := child.Dropped(); n != 3 {
			t.Errorf("dropped %d, want 3", n)
		}
		parent.Recv()
		for i := 3; i < maxQueuedEvents+3; i++ {
			if m, err := parent.Recv(); err != nil || m.Event == nil || m.Event.Seq != uint64(i) {
				t.Fatalf("got %+v, %v, want event %d", m, err, i)
			}
		}
		if m, err := parent.Recv(); err != nil || m.Ack == nil {
			t.Errorf("after the events: %+v, %v, want the Ack", m, err)
		}
	})
}

// counted counts what is written.
type counted struct {
	net.Conn
	writes atomic.Int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(b)
}

// Events that wait one behind the other travel together, and nothing else changes places with them.
func TestEventsArePacked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		conn := &counted{Conn: b}
		parent, child := newChannel(a), newChannel(conn)
		defer parent.Close()
		defer child.Close()
		child.Send(Message{Pong: &Ping{Seq: 1}})
		synctest.Wait() // the writer holds this one
		const n = 3*maxPacked + 1
		for i := range n {
			child.Send(Message{Event: &control.Event{Seq: uint64(i)}})
		}
		child.Send(Message{Pong: &Ping{Seq: 2}})
		child.Send(Message{Event: &control.Event{Seq: n}})
		var got []string
		for range n + 3 {
			m, err := parent.Recv()
			switch {
			case err != nil:
				t.Fatal(err)
			case m.Event != nil:
				got = append(got, fmt.Sprint("event ", m.Event.Seq))
			case m.Pong != nil:
				got = append(got, fmt.Sprint("pong ", m.Pong.Seq))
			}
		}
		want := []string{"pong 1"}
		for i := range n {
			want = append(want, fmt.Sprint("event ", i))
		}
		want = append(want, "pong 2", fmt.Sprint("event ", n))
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if w := conn.writes.Load(); w != 7 { // three packed ones and the one left over
			t.Errorf("%d writes, want 7", w)
		}
	})
}

func TestCloseWakesReader(t *testing.T) {
	parent, child := ends(t)
	time.AfterFunc(20*time.Millisecond, func() { parent.Close() })
	if _, err := parent.Recv(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("own end: %v, want %v", err, os.ErrClosed)
	}
	if _, err := child.Recv(); err != io.EOF {
		t.Errorf("other end: %v, want io.EOF", err)
	}
	if err := parent.Close(); err == nil {
		t.Error("second Close succeeded")
	}
}

func TestNewChannelRefusesOtherFiles(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := NewChannel(f); err == nil {
		t.Error("/dev/null was taken for a channel")
	}
}

func TestAssemblerRefuses(t *testing.T) {
	for _, tc := range []struct {
		name    string
		packets [][]byte
		want    string
	}{
		{"empty", [][]byte{{}}, "packet of 0 bytes is too short"},
		{"flag only", [][]byte{{flagLast}}, "packet of 1 bytes is too short"},
		{"unknown flag", [][]byte{{2, '{', '}'}}, "packet with unknown flag 0x2"},
		{"long packet", [][]byte{make([]byte, packetSize+1)}, "packet is longer than 65536 bytes"},
		{"not JSON", [][]byte{[]byte("\x00hello")}, "malformed message: invalid character 'h' looking for beginning of value"},
		{"half JSON", [][]byte{[]byte("\x00{\"Ping\":")}, "malformed message: unexpected end of JSON input"},
		{"wrong type", [][]byte{[]byte("\x00{\"Ping\":7}")}, "malformed message: json: cannot unmarshal number into Go struct field Message.Ping of type watchdog.Ping"},
		{"nothing", [][]byte{[]byte("\x00{}")}, "message without content, or of a kind this program does not know"},
		{"null", [][]byte{[]byte("\x00null")}, "message without content, or of a kind this program does not know"},
		{"nothing enclosed", [][]byte{[]byte("\x00{\"Configure\":{\"Generation\":1}}\x00")}, "malformed enclosure: EOF"},
		{"no gob", [][]byte{[]byte("\x00{\"Configure\":{\"Generation\":1}}\x00\x01\x02\x03")}, "malformed enclosure: gob: type mismatch in decoder: want struct type watchdog.enclosure; got non-struct"},
		{"two at once", [][]byte{[]byte("\x01{\"Ping\":{\"Seq\":1},"), []byte("\x00\"Stop\":{}}")}, "message of 2 kinds at once"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var a assembler
			var err error
			for _, p := range tc.packets {
				var text []byte
				if text, err = a.add(p); text != nil {
					_, err = decodeMessage(text)
				}
			}
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestMessageSizeIsBounded(t *testing.T) {
	if err := writeMessage(io.Discard, make([]byte, maxMessage+1), make([]byte, packetSize)); err == nil {
		t.Error("a message above the limit was written")
	}
	a := assembler{text: make([]byte, maxMessage)}
	if _, err := a.add([]byte("\x01x")); err == nil {
		t.Error("a message above the limit was joined")
	}
}

func TestRecvInsideMessage(t *testing.T) {
	parent, child := ends(t)
	if _, err := child.conn.Write([]byte("\x01{")); err != nil {
		t.Fatal(err)
	}
	child.Close()
	if _, err := parent.Recv(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// packets collects what writeMessage writes.
type packets [][]byte

func (p *packets) Write(b []byte) (int, error) {
	*p = append(*p, bytes.Clone(b))
	return len(b), nil
}

// FuzzChannel feeds packets as an untrusted child could send them. What is
// accepted must survive being written and read again.
func FuzzChannel(f *testing.F) {
	f.Add([]byte("\x01{\"Ping\":{\"Se"), []byte("\x00q\":1}}"))
	f.Add([]byte("\x00{\"Ack\":{\"Generation\":1,\"Error\":\"x\",\"Final\":true}}"), []byte{})
	for _, m := range []Message{
		{Configure: &Configure{Generation: 1, Config: mixedConfig()}},
		{Snapshot: &Snapshot{Checkers: &control.Checkers{Services: []control.Service{{Name: "web", Servers: []control.Server{{Name: "a"}}}}}}},
	} {
		text, err := encodeMessage(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append([]byte{flagMore}, text[:len(text)/2]...), append([]byte{flagLast}, text[len(text)/2:]...))
	}
	f.Add([]byte("\x00{\"Snapshot\":{\"VRRP\":{\"instances\":[{\"name\":\"web\",\"addresses\":[{\"address\":\"192.0.2.1/24\"}]}]}}}"), []byte{})
	f.Add([]byte("\x00{\"Event\":{\"time\":\"2026-11-21T09:00:00Z\"}}"), []byte{2})
	f.Add([]byte("\x00{\"Configure\":{\"Config\":{\"Global\":{\"ChildTimeout\":3000000000}}}}"), []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var a assembler
		for _, p := range [][]byte{first, second} {
			text, err := a.add(p)
			if err != nil {
				return
			}
			if text == nil {
				continue
			}
			m, err := decodeMessage(text)
			if err != nil {
				continue
			}
			again, err := encodeMessage(m)
			if err != nil {
				t.Fatalf("accepted but cannot be written: %v", err)
			}
			var ps packets
			if err := writeMessage(&ps, again, make([]byte, packetSize)); err != nil {
				t.Fatal(err)
			}
			var b assembler
			for _, p := range ps {
				if text, err = b.add(p); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(text, again) {
				t.Fatalf("wrote %q, read %q", again, text)
			}
			same, err := decodeMessage(text)
			if err != nil {
				t.Fatalf("written but refused: %v", err)
			}
			if d := cmp.Diff(m, same, carried()...); d != "" {
				t.Fatalf("written and read, -want +got:\n%s", d)
			}
		}
	})
}
