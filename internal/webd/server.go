package webd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"director/internal/control"
	"director/internal/watchdog"
)

// Limits on clients.
const (
	headerTimeout = 5 * time.Second  // for the head of a request
	readTimeout   = 10 * time.Second // for the whole request
	writeTimeout  = 30 * time.Second // for the whole answer, but of the event stream
	idleTimeout   = time.Minute      // between two requests of a connection
	maxHeader     = 16 << 10
	// maxScrapes bounds the answers to /metrics that are made at a time: each takes
	// memory and CPU.
	maxScrapes = 2
)

// server returns an HTTP server for one listener.
func (d *Daemon) server(g *gate) *http.Server {
	return &http.Server{
		Handler:           g.wrap(d.names.guard(d.handler())),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       slog.NewLogLogger(d.log.Handler(), slog.LevelDebug),
		ConnContext:    func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
}

// handler answers all requests.
func (d *Daemon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, ErrorHandling: promhttp.ContinueOnError,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /{$}", file("page.html", "text/html"))
	mux.HandleFunc("GET /director.css", file("director.css", "text/css"))
	mux.HandleFunc("GET /director.js", file("director.js", "text/javascript"))
	mux.HandleFunc("GET /icon.svg", file("icon.svg", "image/svg+xml"))
	mux.HandleFunc("GET /events", d.stream)
	mux.HandleFunc("GET /api/page", d.pageJSON)
	mux.HandleFunc("GET /api/status", d.statusJSON)
	mux.HandleFunc("GET /api/events", d.eventsJSON)
	mux.HandleFunc("GET /healthz", d.healthz)
	mux.HandleFunc("GET /healthz/master/{name}", d.healthzMaster)
	mux.HandleFunc("GET /healthz/service/{name}", d.healthzService)
	return harden(mux)
}

// harden sets what tells browsers to trust nothing but the page itself.
func harden(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

// current returns the newest view, or answers that there is none.
func (d *Daemon) current(w http.ResponseWriter) *view {
	v := d.view.Load()
	if v == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the state is not known yet", http.StatusServiceUnavailable)
	}
	return v
}

func (d *Daemon) statusJSON(w http.ResponseWriter, r *http.Request) {
	v := d.current(w)
	if v == nil {
		return
	}
	text, err := v.json()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	text.send(w, r)
}

func (d *Daemon) eventsJSON(w http.ResponseWriter, r *http.Request) {
	after, err := number(r, "after")
	limit, err2 := number(r, "limit")
	if err := errors.Join(err, err2); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	sendJSON(w, d.past(after, int(min(limit, keptEvents))))
}

// number reads a parameter of the query, 0 when it is missing.
func number(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s=%q is not a whole number", name, text)
	}
	return n, nil
}

// tooOld says that the whole state cannot be believed any more; empty: it can.
func (v *view) tooOld(now time.Time) string {
	if age := now.Sub(v.at); age > v.stale {
		return fmt.Sprintf("the state is %v old", age.Round(time.Second))
	}
	return ""
}

// asItShould says that a process runs, or need not.
func asItShould(p control.Process) bool {
	return p.State == "running" || p.State == "configuring" || p.State == "not needed"
}

// unwell says what keeps the daemon from being well as a whole; empty: nothing.
func (v *view) unwell(now time.Time) []string {
	if old := v.tooOld(now); old != "" {
		return []string{old}
	}
	var list []string
	for _, p := range v.status.Processes {
		if watchdog.Role(p.Role).Observer() {
			continue // nothing waits for it
		}
		switch {
		case p.Stale:
			list = append(list, p.Role+" does not answer")
		case !asItShould(p):
			list = append(list, p.Role+" "+p.State)
		}
	}
	return list
}

// healthz answers 200 while the daemon and all processes that it needs run and
// answer.
func (d *Daemon) healthz(w http.ResponseWriter, _ *http.Request) {
	if v := d.current(w); v != nil {
		judge(w, "ok", v.unwell(time.Now()))
	}
}

// healthzMaster answers 200 while an instance is MASTER in all its address families.
func (d *Daemon) healthzMaster(w http.ResponseWriter, r *http.Request) {
	v := d.current(w)
	if v == nil {
		return
	}
	found := false
	wrong := v.outdated("vrrp", time.Now())
	if v.status.VRRP != nil {
		for _, i := range v.status.VRRP.Instances {
			if i.Name == r.PathValue("name") {
				found = true
				if i.State != "MASTER" {
					wrong = append(wrong, i.Family+" "+i.State)
				}
			}
		}
	}
	if !found {
		http.Error(w, "there is no such instance", http.StatusNotFound)
		return
	}
	judge(w, "MASTER", wrong)
}

// healthzService answers 200 while a virtual server is up.
func (d *Daemon) healthzService(w http.ResponseWriter, r *http.Request) {
	v := d.current(w)
	if v == nil {
		return
	}
	var service *control.Service
	if v.status.Checkers != nil {
		for i := range v.status.Checkers.Services {
			if v.status.Checkers.Services[i].Name == r.PathValue("name") {
				service = &v.status.Checkers.Services[i]
			}
		}
	}
	if service == nil {
		http.Error(w, "there is no such virtual server", http.StatusNotFound)
		return
	}
	wrong := v.outdated("checkers", time.Now())
	if service.State != "up" {
		wrong = append(wrong, service.State)
	}
	judge(w, "up", wrong)
}

// outdated says why what is known of a process' part of the state cannot be believed.
func (v *view) outdated(role string, now time.Time) []string {
	if old := v.tooOld(now); old != "" {
		return []string{old}
	}
	for _, p := range v.status.Processes {
		if p.Role == role && p.Stale {
			return []string{role + " does not answer"}
		}
	}
	return nil
}

// judge answers a question for health.
func judge(w http.ResponseWriter, well string, wrong []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if len(wrong) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		well = strings.Join(wrong, "; ")
	}
	fmt.Fprintln(w, well)
}
