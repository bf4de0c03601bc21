package watchdog

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"

	"director/config"
	"director/internal/control"
)

// enclosure is what of a message grows with the farm. It travels behind the message's JSON,
// after a zero byte, which JSON never has, and as gob: see Feed. Each is for itself, so that
// a message can be read without the one before it.
type enclosure struct {
	Config   *config.Config // condensed, without its secrets
	Inherits [][]bool       // see config.Condense
	Secrets  []string       // see config.TakeSecrets
	Checkers *control.Checkers
}

// enclosed returns where a message has what is enclosed; nil where it never has any.
func (m *Message) enclosed() (cfg **config.Config, farm **control.Checkers) {
	c := m.Configure
	switch {
	case m.Snapshot != nil:
		return nil, &m.Snapshot.Checkers
	case m.Plan != nil:
		c = m.Plan
	case c == nil:
		return nil, nil
	}
	if c.Resume != nil {
		farm = &c.Resume.Snapshot.Checkers
	}
	return &c.Config, farm
}

// encodeMessage makes the text of a message.
func encodeMessage(m Message) ([]byte, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	var e enclosure
	cfg, farm := m.enclosed()
	if cfg != nil && *cfg != nil {
		e.Config, e.Inherits = (*cfg).Condense()
		e.Secrets = e.Config.TakeSecrets()
	}
	if farm != nil {
		e.Checkers = *farm
	}
	if e.Config == nil && e.Checkers == nil {
		return text, nil
	}
	out := bytes.NewBuffer(append(text, 0))
	if err := gob.NewEncoder(out).Encode(&e); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decodeMessage turns a message's text into the message, which has exactly one
// field set.
func decodeMessage(text []byte) (Message, error) {
	head, tail, encloses := bytes.Cut(text, []byte{0})
	var m Message
	if err := json.Unmarshal(head, &m); err != nil {
		return Message{}, fmt.Errorf("malformed message: %w", err)
	}
	switch n := m.count(); n {
	case 1:
	case 0:
		return Message{}, errors.New("message without content, or of a kind this program does not know")
	default:
		return Message{}, fmt.Errorf("message of %d kinds at once", n)
	}
	if encloses {
		if err := m.unpack(tail); err != nil {
			return Message{}, fmt.Errorf("malformed enclosure: %w", err)
		}
	}
	return m, nil
}

// unpack puts what is enclosed where it belongs.
func (m *Message) unpack(text []byte) error {
	var e enclosure
	if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&e); err != nil {
		return err
	}
	cfg, farm := m.enclosed()
	switch {
	case e.Config != nil && cfg == nil || e.Checkers != nil && farm == nil:
		return errors.New("the message is of a kind that has none of that")
	case e.Config != nil && !e.Config.PutSecrets(e.Secrets):
		return errors.New("the secrets of a configuration are not complete")
	case e.Config != nil && !e.Config.Expand(e.Inherits):
		return errors.New("the checks of a configuration are not complete")
	}
	if cfg != nil {
		*cfg = e.Config
	}
	if farm != nil {
		*farm = e.Checkers
		keepFarmLists(e.Checkers)
	}
	return nil
}
