package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"director/config"
	"director/internal/control"
	"director/internal/secret"
)

const (
	// hookBackoff is the time after the first failure; it doubles up to hookBackoffMax.
	hookBackoff    = time.Second
	hookBackoffMax = time.Minute
	// hooksAtOnce bounds requests at the same time, over all subjects.
	hooksAtOnce = 4
	// longestAnswer is how much of an answer is read.
	longestAnswer = 64 << 10
)

// The headers of a signed request: HMAC-SHA256 over the timestamp, a dot and the
// body. The receiver compares, and refuses a timestamp that is too old.
const (
	timestampHeader = "X-Director-Timestamp" // seconds since 1970
	signatureHeader = "X-Director-Signature" // sha256= and 64 hexadecimal digits
)

// webhook is the webhook channel under one configuration.
type webhook struct {
	settings config.Webhook
	routerID string
	client   *http.Client
}

func newWebhook(w *config.Webhook, routerID string) *webhook {
	// Changes are rare: no connection is kept, and none outlives its configuration.
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	return &webhook{settings: *w, routerID: routerID, client: &http.Client{Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (w *webhook) wants(_ *held, e control.Event) bool {
	return slices.Contains(w.settings.Events, e.Kind)
}

// lane gives each subject its queue.
func (w *webhook) lane(e control.Event) string { return about(e) }

func (w *webhook) again(failures int, _ time.Duration) (time.Duration, bool) {
	return backoff(failures, hookBackoff, hookBackoffMax), failures <= w.settings.Retries
}

// hookBody is what a webhook gets.
type hookBody struct {
	RouterID string `json:"router_id"`
	control.Event
	// Skipped are the states before this one that no request told.
	Skipped []string `json:"skipped,omitempty"`
}

// deliver makes one request. What goes wrong is told without the URL, which may
// hold a token.
func (w *webhook) deliver(ctx context.Context, nt *note) error {
	return within(ctx, w.settings.Timeout, func(ctx context.Context) error {
		err := w.post(ctx, nt)
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return err
	})
}

func (w *webhook) post(ctx context.Context, nt *note) error {
	body, err := json.Marshal(hookBody{w.routerID, nt.event, nt.skipped})
	if err != nil {
		return &finalError{err}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, string(w.settings.URL), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "director")
	key, err := current(w.settings.Secret, w.settings.SecretSource())
	if err != nil {
		return err
	}
	if key != "" {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		req.Header.Set(timestampHeader, at)
		req.Header.Set(signatureHeader, "sha256="+signature(string(key), at, body))
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, longestAnswer)) // the status alone counts
	switch code := resp.StatusCode; {
	case code >= 200 && code <= 299:
		return nil
	case code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests, code >= 500:
		return fmt.Errorf("answered with status %d", code)
	default:
		return &finalError{fmt.Errorf("answered with status %d", code)}
	}
}

// current returns a secret of the configuration. What is outside its text is read at
// each use, so that a new one needs no reload.
func current(inText config.Secret, outside config.SecretSource) (config.Secret, error) {
	if outside == (config.SecretSource{}) {
		return inText, nil
	}
	return secret.Read(outside)
}

// signature returns HMAC-SHA256 over "timestamp.body" in hexadecimal.
func signature(secret, at string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "."))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}
