package control

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Op names what a client wants.
type Op string

// The operations.
const (
	OpVersion Op = "version" // answers Version
	OpStatus  Op = "status"  // answers Status
	OpReload  Op = "reload"  // answers Reload when it is in force everywhere or refused
	OpStop    Op = "stop"    // answers at once; the connection ends with the daemon
	OpEvents  Op = "events"  // answers Events; takes an EventQuery
	OpOrder   Op = "order"   // answers Order; takes an Order
)

// Request is what a client sends: a frame of JSON. A connection carries any
// number of requests, each answered before the next is read.
type Request struct {
	Op   Op              `json:"op"`
	Args json.RawMessage `json:"args,omitempty"` // of operations that have any
}

// EventQuery says which events a client wants.
type EventQuery struct {
	After uint64 `json:"after"` // those with a greater sequence number
	Limit int    `json:"limit"` // at most so many, the newest; 0: all that are kept
	// Wait is how long the answer may wait for an event when there is none, at most
	// MaxEventWait; nanoseconds.
	Wait time.Duration `json:"wait,omitempty"`
}

// MaxEventWait bounds EventQuery.Wait.
const MaxEventWait = 30 * time.Second

// Response answers a Request. Error is empty when it was carried out.
type Response struct {
	Error    string        `json:"error,omitempty"`
	Version  string        `json:"version,omitempty"`
	Status   *Status       `json:"status,omitempty"`
	Reload   *ReloadResult `json:"reload,omitempty"`
	Events   []Event       `json:"events,omitempty"` // oldest first
	Plan     *Plan         `json:"plan,omitempty"`
	Apply    *ApplyResult  `json:"apply,omitempty"`
	Order    *OrderResult  `json:"order,omitempty"`
	Log      []LogLevel    `json:"log,omitempty"`
	Overview *Overview     `json:"overview,omitempty"`
}

// Frame limits in bytes.
const (
	maxRequest  = 96 << 20 // a whole configuration in base64; only root and the daemon's user get so far
	maxResponse = 256 << 20
)

// writeFrame writes v as JSON behind its length, four bytes in network order.
func writeFrame(w io.Writer, v any) error {
	f, err := frame(v)
	if err != nil {
		return err
	}
	_, err = w.Write(f)
	return err
}

// frame returns what writeFrame writes.
func frame(v any) ([]byte, error) {
	const head = 4
	var out bytes.Buffer
	out.Write(make([]byte, head))
	if err := json.NewEncoder(&out).Encode(v); err != nil {
		return nil, err
	}
	f := out.Bytes()
	if len(f)-head > maxResponse {
		return nil, fmt.Errorf("control: %d bytes are too much for a frame", len(f)-head)
	}
	binary.BigEndian.PutUint32(f, uint32(len(f)-head))
	return f, nil
}

// readFrame reads a frame of at most limit bytes into v. It returns io.EOF when
// the other end closed the connection between two frames.
func readFrame(r io.Reader, limit uint32, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > limit {
		return fmt.Errorf("control: frame of %d bytes is longer than the %d allowed", n, limit)
	}
	var text bytes.Buffer
	text.Grow(int(min(n, 1<<20))) // a length alone gets nobody much memory
	if _, err := io.CopyN(&text, r, int64(n)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("control: %w inside a frame", err)
	}
	if err := json.Unmarshal(text.Bytes(), v); err != nil {
		return fmt.Errorf("control: malformed frame: %w", err)
	}
	return nil
}
