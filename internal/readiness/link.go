package readiness

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// MaxDatagram is the greatest size of a datagram in bytes. A longer one is not looked at.
const MaxDatagram = 8192

// freshFor is after how many intervals of silence a report counts no more.
const freshFor = 5

const magic = "director readiness 1\n"

// maxRetired is how many former lives of a peer are remembered, before this end begins
// a new one, for which no recorded datagram was made.
const maxRetired = 64

// The reasons for which a datagram is not taken.
var (
	ErrForm   = errors.New("it is no report of a director")
	ErrKey    = errors.New("it is signed with another key")
	ErrOwn    = errors.New("it is a report of this host itself")
	ErrReplay = errors.New("it was sent before: somebody repeats it")
)

// Link is one end of the exchange with one peer.
//
// Each end names its life by a random text and numbers its datagrams. A report is taken
// only from a datagram that repeats the name of this end's life, so that it was made
// while this end lived, with a greater number than any before it, and not of a life of
// the peer that was followed by another. The first datagram between two ends carries no
// echo yet and brings nothing but the name to be repeated. Clocks need not agree.
type Link struct {
	key   []byte
	fresh func() string // makes a name
	every time.Duration

	own     string
	number  uint64
	peer    string // the life of the peer that reports were taken from last
	last    uint64 // the number of the newest
	knocks  string // another life that was heard of, not proven to live now
	retired []string

	report Report
	heard  time.Time
}

// NewLink returns an end. name returns another random text each time; every is the
// interval at which both ends send.
func NewLink(key []byte, name func() string, every time.Duration) *Link {
	return &Link{key: key, fresh: name, every: every, own: name()}
}

// datagram is the signed content.
type datagram struct {
	From   string   `json:"from"`
	Number uint64   `json:"number"`
	Echo   []string `json:"echo"`
	Report Report   `json:"report"`
}

// Seal makes the next datagram.
func (l *Link) Seal(r Report) []byte {
	l.number++
	d := datagram{From: l.own, Number: l.number, Report: r}
	for _, name := range []string{l.peer, l.knocks} {
		if name != "" {
			d.Echo = append(d.Echo, name)
		}
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false) // it would make a text six times as long
	if err := e.Encode(d); err != nil {
		panic("readiness: " + err.Error()) // no type in it can fail
	}
	return append(l.sign(text.Bytes()), text.Bytes()...)
}

// sign returns what goes before a content: the magic and its signature.
func (l *Link) sign(text []byte) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write([]byte(magic))
	mac.Write(text)
	return mac.Sum([]byte(magic))
}

// Open takes a datagram. Nothing of it is looked at before its signature was found
// right. taken says that its report is the newest; without an error and not taken, it
// was only a first knock.
func (l *Link) Open(now time.Time, data []byte) (taken bool, err error) {
	const head = len(magic) + sha256.Size
	if len(data) <= head || len(data) > MaxDatagram || string(data[:len(magic)]) != magic {
		return false, ErrForm
	}
	if !hmac.Equal(l.sign(data[head:]), data[:head]) {
		return false, ErrKey
	}
	var d datagram
	if err := json.Unmarshal(data[head:], &d); err != nil || d.From == "" || d.Number == 0 {
		return false, ErrForm
	}
	switch {
	case d.From == l.own:
		return false, ErrOwn
	case slices.Contains(l.retired, d.From), d.From == l.peer && d.Number <= l.last:
		return false, ErrReplay
	case !slices.Contains(d.Echo, l.own):
		if d.From != l.peer {
			l.knocks = d.From
		}
		return false, nil
	}
	if d.From != l.peer {
		if l.peer != "" {
			l.retire(l.peer)
		}
		l.peer, l.knocks = d.From, ""
	}
	l.last, l.report, l.heard = d.Number, d.Report, now
	return true, nil
}

// retire remembers a former life of the peer.
func (l *Link) retire(name string) {
	if l.retired = append(l.retired, name); len(l.retired) > maxRetired {
		l.own, l.number, l.retired = l.fresh(), 0, nil
	}
}

// Peer returns the newest report and when it came; nil when there is none that is not
// too old.
func (l *Link) Peer(now time.Time) (*Report, time.Time) {
	if l.heard.IsZero() || now.Sub(l.heard) > freshFor*l.every {
		return nil, l.heard
	}
	return &l.report, l.heard
}
