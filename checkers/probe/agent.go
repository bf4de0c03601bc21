package probe

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"director/checkers"
)

// maxAgent bounds an agent's reply, in bytes.
const maxAgent = 4 << 10

// AgentSettings says how an agent is asked.
type AgentSettings struct {
	// Send is sent first; empty sends nothing.
	Send []byte
	// Required makes an agent that cannot be asked, or does not answer as it should,
	// a failure. Without it such an agent says nothing.
	Required bool
	// TLS encrypts the connection when it is not nil.
	TLS *TLSSettings
}

// Agent asks a server's agent, which speaks the protocol of HAProxy's agent-check:
// one line of words about the server's health ("up", "down", "fail", "stopped"),
// its use ("ready", "drain", "maint") and its weight ("75%").
func Agent(ctx context.Context, to Target, s AgentSettings) Result {
	start := time.Now()
	r := askAgent(ctx, start, to, s)
	if !r.OK && r.Reason != Drained && r.Conclusive() && !s.Required {
		// Whether the server itself is well is for its other checks to say.
		r.OK, r.Warning, r.Advice.Silent = true, "the agent says nothing: "+r.String(), true
		r.Detail, r.Reason = "no answer", Passed
	}
	return r
}

func askAgent(ctx context.Context, start time.Time, to Target, s AgentSettings) Result {
	c, what, err := dial(ctx, to, s.TLS, maxAgent+maxHandshake)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	if len(s.Send) > 0 {
		if _, err := c.Write(s.Send); err != nil {
			return c.failed(ctx, start, "send", err)
		}
	}
	var text []byte
	for {
		b, err := c.in.ReadByte()
		if errors.Is(err, io.EOF) && len(text) > 0 || b == '\n' || b == '\r' {
			break
		}
		if err != nil {
			return c.failed(ctx, start, "read reply", err)
		}
		if text = append(text, b); len(text) > maxAgent {
			return failed(start, BadAnswer, "the reply is too long")
		}
	}
	r := parseAgent(start, string(text))
	c.cert.tell(&r)
	return r
}

// parseAgent reads an agent's line. What follows a #, and what is no word of the
// protocol, is a description.
func parseAgent(start time.Time, line string) Result {
	text := printable(strings.TrimSpace(line), 160)
	words, _, _ := strings.Cut(line, "#")
	r := passed(start, text)
	r.Advice.Silent = true // until there is a word about health
	known, down := false, false
	for word := range strings.FieldsFuncSeq(words, func(c rune) bool { return c == ' ' || c == ',' || c == '\t' }) {
		word = strings.ToLower(word)
		percent, weight := agentPercent(word)
		switch {
		case weight:
			r.Advice.Weighing, r.Advice.Value = checkers.Percent, percent
		case word == "up":
			r.Advice.Silent, down = false, false
		case word == "down" || word == "fail" || word == "stopped":
			r.Advice.Silent, down = false, true
		case word == "ready":
			r.Advice.Order = checkers.Ready
		case word == "drain":
			r.Advice.Order = checkers.Drain
		case word == "maint":
			r.Advice.Order = checkers.Maintenance
		case strings.HasPrefix(word, "maxconn:"): // an affair of HAProxy's
		default:
			continue
		}
		known = true
	}
	switch {
	case !known:
		return failed(start, BadAnswer, "a reply without a known word: "+strconv.Quote(text))
	case down:
		r.OK, r.Reason, r.Detail = false, Drained, "the agent says "+strconv.Quote(text)
	}
	return r
}

// agentPercent reads a weight such as 75%.
func agentPercent(word string) (int, bool) {
	digits, is := strings.CutSuffix(word, "%")
	n, err := strconv.ParseUint(digits, 10, 16)
	return int(min(n, 10000)), is && err == nil
}
