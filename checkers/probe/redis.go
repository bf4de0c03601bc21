package probe

import (
	"context"
	"strconv"
	"strings"
	"time"
)

const (
	maxRedis     = 4 << 10 // bytes of all replies
	maxRedisLine = 1 << 10
)

// RedisSettings says how to log in.
type RedisSettings struct {
	// User and Password are given by AUTH; an empty Password means that there is no
	// need to, an empty User the default one.
	User, Password string
	// TLS encrypts the connection when it is not nil.
	TLS *TLSSettings
}

// Redis sends PING, which a server that still loads its data, or that wants a
// password, does not answer with PONG.
func Redis(ctx context.Context, to Target, s RedisSettings) Result {
	start := time.Now()
	c, what, err := dial(ctx, to, s.TLS, maxRedis+maxHandshake)
	if err != nil {
		return broken(ctx, start, what, plain(err))
	}
	defer c.Close()
	if s.Password != "" {
		words := []string{"AUTH", s.Password}
		if s.User != "" {
			words = []string{"AUTH", s.User, s.Password}
		}
		if err := c.redis("OK", words...); err != nil {
			return c.failed(ctx, start, "AUTH", err)
		}
	}
	if err := c.redis("PONG", "PING"); err != nil {
		return c.failed(ctx, start, "PING", err)
	}
	return c.passed(start, "PONG")
}

// redis sends a command (RESP) and wants a simple string.
func (s *stream) redis(want string, words ...string) error {
	text := "*" + strconv.Itoa(len(words)) + "\r\n"
	for _, w := range words {
		text += "$" + strconv.Itoa(len(w)) + "\r\n" + w + "\r\n"
	}
	if _, err := s.Write([]byte(text)); err != nil {
		return err
	}
	line, err := s.line(maxRedisLine)
	if err != nil {
		return err
	}
	return parseRedis(line, want)
}

// parseRedis judges the first line of a reply.
func parseRedis(line, want string) error {
	if problem, is := strings.CutPrefix(line, "-"); is {
		return refused("%s", problem)
	}
	if line != "+"+want {
		return wrongAnswer("reply %q, want %s", printable(line, 80), want)
	}
	return nil
}
