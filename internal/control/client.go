package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// Client asks a running daemon. It is for one goroutine.
type Client struct {
	conn net.Conn
}

// ErrNotRunning says that no daemon answers at the control socket.
var ErrNotRunning = errors.New("director is not running")

// Dial connects to the daemon whose control socket is at path. Its error is
// ErrNotRunning when there is none, and fs.ErrPermission when this user may not ask it.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return &Client{conn}, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: nobody answers at %s", ErrNotRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("control: %s: %w: only root and the daemon's user may ask", path, fs.ErrPermission)
	default:
		return nil, fmt.Errorf("control: %w", err)
	}
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// call sends a request and waits for the answer until ctx ends.
func (c *Client) call(ctx context.Context, req Request) (Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var res Response
	err := writeFrame(c.conn, req)
	// A daemon that refuses to talk says why and closes: its answer counts more
	// than our failure to write.
	if readErr := readFrame(c.conn, maxResponse, &res); readErr == nil {
		err = nil
	} else if err == nil {
		err = readErr
	}
	switch {
	case ctx.Err() != nil:
		return Response{}, context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Response{}, errors.New("director ended the connection without an answer")
	case err != nil:
		return Response{}, err
	case res.Error != "":
		return Response{}, errors.New(res.Error)
	}
	return res, nil
}

// Version returns the daemon's version.
func (c *Client) Version(ctx context.Context) (string, error) {
	res, err := c.call(ctx, Request{Op: OpVersion})
	return res.Version, err
}

// Status returns the daemon's state.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	res, err := c.call(ctx, Request{Op: OpStatus})
	if err == nil && res.Status == nil {
		err = errors.New("director answered without a status")
	}
	return res.Status, err
}

// Reload makes the daemon read its configuration and waits until it is in force
// or refused, which the result tells.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	res, err := c.call(ctx, Request{Op: OpReload})
	if err != nil {
		return ReloadResult{}, err
	}
	if res.Reload == nil {
		return ReloadResult{}, errors.New("director answered without a result")
	}
	return *res.Reload, nil
}

// Events returns events that have happened, oldest first, or waits for one.
func (c *Client) Events(ctx context.Context, q EventQuery) ([]Event, error) {
	args, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	res, err := c.call(ctx, Request{Op: OpEvents, Args: args})
	return res.Events, err
}

// Stop makes the daemon stop and waits until it is gone.
func (c *Client) Stop(ctx context.Context) error {
	if _, err := c.call(ctx, Request{Op: OpStop}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err := c.conn.Read(make([]byte, 1))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET):
		return nil
	case err != nil:
		return err
	default:
		return errors.New("director sent something after its answer")
	}
}
