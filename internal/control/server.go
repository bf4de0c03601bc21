package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// requestTimeout bounds the time from a request's first byte to its last.
	requestTimeout = 5 * time.Second
	// idleTimeout ends a connection on which nothing is asked.
	idleTimeout = 10 * time.Minute
	// writeTimeout bounds the time a client takes to read an answer.
	writeTimeout = 10 * time.Second
	// maxConnections bounds the connections at a time.
	maxConnections = 64
	// maxSocketPath is what the kernel's sockaddr_un holds, with its closing zero.
	maxSocketPath = 107
)

// Handler is the daemon behind the socket. Its methods are called by several
// goroutines; ctx ends when the server closes.
type Handler interface {
	// Status returns the daemon's whole state. It is not called again before it has returned.
	Status(ctx context.Context) (*Status, error)
	// Reload reads the configuration again and returns when that has succeeded
	// everywhere or failed.
	Reload(ctx context.Context) (ReloadResult, error)
	// Events returns past events, or waits for one.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// Order has something done with real servers and returns when that has happened.
	Order(ctx context.Context, o Order) (OrderResult, error)
	// Stop begins the daemon's stop and returns at once.
	Stop(ctx context.Context) error
	// Overview returns the state in short, as it is known without asking anybody.
	Overview(ctx context.Context, q OverviewQuery) (*Overview, error)
	// LogLevels tells what each process logs, after it has put another level in force if
	// one is ordered.
	LogLevels(ctx context.Context, q LogQuery) ([]LogLevel, error)
	Planner
	Applier
}

// Listener answers requests on the control socket.
type Listener struct {
	handler Handler
	version string
	log     *slog.Logger
	rounds  *rounds // of those who want the state
	uid     int     // whose processes may ask, beside root's

	listener *net.UnixListener
	ctx      context.Context
	cancel   context.CancelFunc

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
	done   sync.WaitGroup
}

// Listen makes the socket at path, for its owner alone (mode 0600), and
// replaces one that a former daemon left; the caller makes sure that none runs.
// Serve answers.
func Listen(path, version string, h Handler, log *slog.Logger) (*Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control: socket path %s is longer than the %d bytes the kernel allows", path, maxSocketPath)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("control: %s exists and is not a socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control: remove the socket of a former run: %w", err)
		}
	}
	// The mode is set before the socket gets its name: there is no moment at
	// which others can connect.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var modeErr error
		if err := c.Control(func(fd uintptr) { modeErr = unix.Fchmod(int(fd), 0o600) }); err != nil {
			return err
		}
		return modeErr
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Listener{
		handler: h, version: version, log: log, rounds: newRounds(h.Status), uid: os.Geteuid(),
		listener: l.(*net.UnixListener), ctx: ctx, cancel: cancel, conns: make(map[net.Conn]struct{}),
	}, nil
}

// Serve accepts connections until Close. It returns nil then.
func (s *Listener) Serve() error {
	for {
		conn, err := s.listener.AcceptUnix()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			// Out of descriptors, most likely: others need time to give some back.
			s.log.Warn("control socket: accept failed", "reason", err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-s.ctx.Done():
				return nil
			}
		}
		if !s.add(conn) {
			// Into the socket's empty buffer: this cannot block.
			_ = writeFrame(conn, Response{Error: fmt.Sprintf("director has %d connections already", maxConnections)})
			conn.Close()
			continue
		}
		go func() {
			defer s.remove(conn)
			s.converse(conn)
		}()
	}
}

func (s *Listener) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.conns) >= maxConnections {
		return false
	}
	s.conns[conn] = struct{}{}
	s.done.Add(1)
	return true
}

func (s *Listener) remove(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
	s.done.Done()
}

// Close ends all connections and removes the socket.
func (s *Listener) Close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	err := s.listener.Close() // unlinks the socket
	s.done.Wait()
	return err
}

// converse answers the requests of one connection.
func (s *Listener) converse(conn *net.UnixConn) {
	uid, err := s.authorize(conn)
	if err != nil {
		s.log.Warn("control socket: refused", "reason", err)
		_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		_ = writeFrame(conn, Response{Error: err.Error()})
		return
	}
	for {
		req, err := s.next(conn)
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
				_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
				_ = writeFrame(conn, Response{Error: err.Error()})
			}
			return
		}
		if err := s.reply(conn, req, uid); err != nil {
			s.log.Debug("control socket: answer not taken", "reason", err)
			return
		}
	}
}

// next waits for a request: as long as idleTimeout for its first byte, then
// requestTimeout for the whole.
func (s *Listener) next(conn *net.UnixConn) (Request, error) {
	_ = conn.SetReadDeadline(time.Now().Add(idleTimeout))
	var first [1]byte
	if _, err := io.ReadFull(conn, first[:]); err != nil {
		return Request{}, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(requestTimeout))
	var req Request
	err := readFrame(io.MultiReader(bytes.NewReader(first[:]), conn), maxRequest, &req)
	return req, err
}

// reply answers a request of a user.
func (s *Listener) reply(conn net.Conn, req Request, uid uint32) error {
	var f []byte
	var err error
	if req.Op == OpStatus {
		r := s.rounds.join(s.ctx)
		defer s.rounds.leave(r)
		f, err = r.frame, r.err
	} else {
		f, err = frame(s.answer(req, uid))
	}
	if err != nil {
		return err
	}
	_ = conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err = conn.Write(f)
	return err
}

// answer carries out a request of a user, other than for the state.
func (s *Listener) answer(req Request, uid uint32) Response {
	var res Response
	var err error
	switch req.Op {
	case OpVersion:
		res.Version = s.version
	case OpReload:
		var result ReloadResult
		if result, err = s.handler.Reload(s.ctx); err == nil {
			res.Reload = &result
		}
	case OpStop:
		err = s.handler.Stop(s.ctx)
	case OpEvents:
		var q EventQuery
		if err = json.Unmarshal(req.Args, &q); err != nil {
			err = fmt.Errorf("control: malformed question for events: %w", err)
			break
		}
		res.Events, err = s.handler.Events(s.ctx, q)
	case OpOverview:
		var q OverviewQuery
		if err = json.Unmarshal(req.Args, &q); err != nil {
			err = fmt.Errorf("control: malformed question for an overview: %w", err)
			break
		}
		res.Overview, err = s.handler.Overview(s.ctx, q)
	case OpPlan:
		res, err = s.plan(req)
	case OpApply, OpConfirm, OpUndo:
		res, err = s.apply(req, uid)
	case OpLog:
		res.Log, err = s.logLevels(req.Args, uid)
	case OpOrder:
		res.Order, err = s.order(req.Args, uid)
	default:
		err = fmt.Errorf("operation %q is not known to director %s", req.Op, s.version)
	}
	if err != nil {
		res.Error = err.Error()
	}
	return res
}

// authorize lets root and the daemon's own user in. The socket's mode says the
// same; this holds when somebody widened it. It returns the user who asks.
func (s *Listener) authorize(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, fmt.Errorf("peer credentials: %w", credErr)
	}
	if cred.Uid != 0 && int(cred.Uid) != s.uid {
		return 0, fmt.Errorf("permission denied: user %d (process %d) is neither root nor the daemon's user", cred.Uid, cred.Pid)
	}
	return cred.Uid, nil
}
