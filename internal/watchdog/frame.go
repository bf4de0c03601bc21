package watchdog

import (
	"fmt"
	"io"
)

const (
	// packetSize is the most that is written at once: far below the socket's
	// buffer, so that a packet is never refused for its size.
	packetSize = 64 << 10
	// maxMessage bounds a message, so that a broken peer cannot fill the memory.
	maxMessage = 256 << 20
)

// The first byte of a packet says whether its message goes on in the next one.
const (
	flagLast byte = 0
	flagMore byte = 1
)

// writeMessage writes text in packets of at most packetSize bytes. scratch has
// that size.
func writeMessage(w io.Writer, text, scratch []byte) error {
	if len(text) > maxMessage {
		return fmt.Errorf("message of %d bytes is longer than the %d allowed", len(text), maxMessage)
	}
	for {
		n := copy(scratch[1:], text)
		text = text[n:]
		scratch[0] = flagLast
		if len(text) > 0 {
			scratch[0] = flagMore
		}
		if _, err := w.Write(scratch[:1+n]); err != nil {
			return err
		}
		if len(text) == 0 {
			return nil
		}
	}
}

// assembler joins packets to messages.
type assembler struct {
	text []byte
	more bool // the last packet said that more follow
}

// started reports whether a message has begun that is not complete.
func (a *assembler) started() bool { return a.more }

// add takes one packet and returns the message's text when it is complete, else
// nil. The text stays valid after the next add.
func (a *assembler) add(packet []byte) ([]byte, error) {
	switch {
	case len(packet) < 2:
		return nil, fmt.Errorf("packet of %d bytes is too short", len(packet))
	case len(packet) > packetSize:
		return nil, fmt.Errorf("packet is longer than %d bytes", packetSize)
	case packet[0] > flagMore:
		return nil, fmt.Errorf("packet with unknown flag %#x", packet[0])
	case len(a.text)+len(packet)-1 > maxMessage:
		return nil, fmt.Errorf("message is longer than the %d bytes allowed", maxMessage)
	}
	a.text = append(a.text, packet[1:]...)
	a.more = packet[0] == flagMore
	if a.more {
		return nil, nil
	}
	text := a.text
	a.text = nil
	return text, nil
}

// count returns how many fields of m are set.
func (m Message) count() int {
	n := 0
	for _, set := range []bool{
		m.Configure != nil, m.Ping != nil, m.Stop != nil, m.ScriptDone != nil, m.Inquire != nil,
		m.Fenced != nil, m.Pools != nil, m.Roles != nil, m.Followed != nil, m.Fence != nil, m.Order != nil, m.Ordered != nil, m.Standing != nil, m.Confirmed, m.Sessions != nil, m.Readiness != nil,
		m.Plan != nil, m.Planned != nil, m.LogLevel != nil,
		m.Ack != nil, m.Pong != nil, m.Snapshot != nil, m.Event != nil, m.Events != nil, m.RunScript != nil,
	} {
		if set {
			n++
		}
	}
	return n
}
