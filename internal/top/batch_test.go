package top

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestBatch prints the view as text without any looks, as often as asked for, and as JSON.
func TestBatch(t *testing.T) {
	var out bytes.Buffer
	s := Settings{Interval: time.Millisecond, Order: ByName, Expand: true}
	if err := Print(t.Context(), &out, &farm{services: 40, servers: 2}, s, Batch{Count: 1}); err != nil {
		t.Fatal(err)
	}
	golden(t, "batch", out.String())
	if strings.Contains(out.String(), "\x1b") {
		t.Error("there is something that steers a terminal")
	}
	out.Reset()
	if err := Print(t.Context(), &out, &farm{services: 4, servers: 2}, s, Batch{Count: 3}); err != nil || strings.Count(out.String(), "VIRTUAL SERVER") != 3 {
		t.Errorf("%v, printed three times:\n%s", err, out.String())
	}

	out.Reset()
	s.Filter = "web-0003"
	if err := Print(t.Context(), &out, &farm{services: 2000, servers: 20, lost: true}, s, Batch{Count: 2, JSON: true}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var doc Document
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &doc); err != nil || len(lines) != 2 {
		t.Fatalf("%d lines, %v:\n%s", len(lines), err, out.String())
	}
	if len(doc.Services) != 1 || len(doc.Services[0].Servers) != 20 || doc.Services[0].Rates.Connections != 758 || doc.Services[0].Active == 0 ||
		doc.Services[0].Servers[0].Name != "app0" || doc.Services[0].Servers[0].Health != "down" || doc.DaemonError != "director is not running" || doc.RouterID != "lb-a" {
		t.Errorf("got %+v", doc)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Print(ctx, &out, &farm{services: 1, servers: 1}, Settings{Interval: time.Hour}, Batch{}); err != nil {
		t.Error(err)
	}
}
