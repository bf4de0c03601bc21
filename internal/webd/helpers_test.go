package webd

import (
	"log/slog"
	"testing"
)

// testLog is a log that a failing test shows.
func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
