package notify

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"director/config"
)

// hooks is a receiver of webhooks.
type hooks struct {
	*httptest.Server
	mu     sync.Mutex
	status []int // of the next answers, then 200
	bodies []string
	heads  []http.Header
}

func newHooks(t *testing.T, status ...int) *hooks {
	h := &hooks{status: status}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies, h.heads = append(h.bodies, string(body)), append(h.heads, r.Header)
		if len(h.status) > 0 {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(h.status[0])
			h.status = h.status[1:]
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func hookTo(url string) *config.Config {
	return &config.Config{Global: config.Global{RouterID: "lb-a"}, Instances: []config.Instance{{Name: "VI_1"}},
		Notify: config.Channels{Webhook: &config.Webhook{URL: config.Secret(url + "/hook/t0ken"), Secret: "geheim",
			Timeout: config.Duration(30 * time.Second), Retries: 5, Events: []string{"instance"}}}}
}

// TestWebhook has a receiver that fails once: the request comes again, signed.
func TestWebhook(t *testing.T) {
	h := newHooks(t, 500)
	n, out := newNotifier(hookTo(h.URL))
	e := change("instance", "VI_1", "BACKUP", "MASTER", "no advert", 7)
	e.Time = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	n.Handle(e)
	eventually(t, "a second request", func() bool { st := n.Status(); return st[0].Sent == 1 })
	if err := n.Close(time.Minute); err != nil {
		t.Error(err)
	}
	want := `{"router_id":"lb-a","seq":7,"time":"2026-11-21T09:00:00Z","generation":1,"kind":"instance","subject":"VI_1",` +
		`"from":"BACKUP","to":"MASTER","reason":"no advert","reason_code":"master_down","priority":100}`
	if d := cmp.Diff([]string{want, want}, h.bodies); d != "" {
		t.Fatal(d)
	}
	head := h.heads[1]
	if got, want := head.Get("X-Director-Signature"), "sha256="+signature("geheim", head.Get("X-Director-Timestamp"), []byte(want)); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
	if head.Get("Content-Type") != "application/json" || strings.Contains(out.String(), "t0ken") {
		t.Errorf("%v\n%s", head, out)
	}
	if st := n.Status()[0]; st.Channel != "webhook" || st.Failed != 1 || st.LastError != "answered with status 500" {
		t.Errorf("%+v", st)
	}
}

// TestSignature is a value that other programs compute as well:
// printf '1700000000.{}' | openssl dgst -sha256 -hmac secret
func TestSignature(t *testing.T) {
	if got, want := signature("secret", "1700000000", []byte("{}")), "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWebhookAnswers(t *testing.T) {
	for status, final := range map[int]bool{302: true, 400: true, 404: true, 408: false, 429: false, 503: false} {
		h := newHooks(t, status)
		err := newWebhook(hookTo(h.URL).Notify.Webhook, "lb-a").deliver(context.Background(), &note{event: change("instance", "VI_1", "a", "b", "", 1)})
		var f *finalError
		if err == nil || errors.As(err, &f) != final || len(h.bodies) != 1 {
			t.Errorf("%d: %v, %d requests", status, err, len(h.bodies))
		}
	}
	if _, again := newWebhook(&config.Webhook{Retries: 2}, "").again(3, 0); again {
		t.Error("a third retry, allowed are two")
	}
}

// TestWebhookFailures shows no token and takes no longer than it may.
func TestWebhookFailures(t *testing.T) {
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hang.Close()
	secured := httptest.NewUnstartedServer(http.NotFoundHandler())
	secured.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	secured.StartTLS()
	defer secured.Close()
	for name, tc := range map[string]struct{ url, file, want string }{
		"hangs":               {hang.URL, "", "not done after 200ms"},
		"dead":                {"http://127.0.0.1:1", "", "connection refused"},
		"unknown certificate": {secured.URL, "", "certificate"},
		"no secret":           {hang.URL, filepath.Join(t.TempDir(), "x"), "no such file"},
	} {
		w := hookTo(tc.url).Notify.Webhook
		w.SecretFile = tc.file
		if name == "hangs" {
			w.Timeout = config.Duration(200 * time.Millisecond)
		}
		err := newWebhook(w, "").deliver(context.Background(), &note{event: change("instance", "VI_1", "a", "b", "", 1)})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newHooks(t)
	w := hookTo(h.URL).Notify.Webhook
	w.SecretFile = file
	if err := newWebhook(w, "lb-a").deliver(context.Background(), &note{event: change("instance", "VI_1", "a", "b", "", 1)}); err != nil {
		t.Fatal(err)
	}
	head := h.heads[0]
	if want := "sha256=" + signature("other", head.Get("X-Director-Timestamp"), []byte(h.bodies[0])); head.Get("X-Director-Signature") != want {
		t.Error("the secret of the file is not used")
	}
}
