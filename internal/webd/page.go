package webd

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
)

// static is the page: plain HTML, CSS and JavaScript.
//
//go:embed static
var static embed.FS

// maxDigests bounds the digests that are made at a time for what clients ask for
// specially.
const maxDigests = 2

// file answers with a file of the page.
func file(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := static.ReadFile("static/" + name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", contentType+"; charset=utf-8")
		w.Write(text)
	}
}

// packed is an answer in JSON, also compressed.
type packed struct{ plain, zipped []byte }

func pack(value any) (packed, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return packed{}, err
	}
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		return packed{}, err
	}
	if _, err := z.Write(text); err != nil {
		return packed{}, err
	}
	if err := z.Close(); err != nil {
		return packed{}, err
	}
	return packed{text, b.Bytes()}, nil
}

func (p packed) send(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(p.zipped)
		return
	}
	w.Write(p.plain)
}

// pageJSON answers with what the page shows. Without a question of its own it is made
// once for each state, however many clients ask.
func (d *Daemon) pageJSON(w http.ResponseWriter, r *http.Request) {
	v := d.current(w)
	if v == nil {
		return
	}
	q := question{filter: r.URL.Query().Get("q"), open: r.URL.Query()["open"]}
	var answer packed
	var err error
	if q.plain() {
		answer, err = v.page()
	} else {
		select {
		case d.digests <- struct{}{}:
			answer, err = pack(page(v, &d.history, q))
			<-d.digests
		case <-r.Context().Done():
			return
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer.send(w, r)
}

// once makes the page of a view when it is first asked for.
func once(v *view, h *history) func() (packed, error) {
	return sync.OnceValues(func() (packed, error) { return pack(page(v, h, question{})) })
}
