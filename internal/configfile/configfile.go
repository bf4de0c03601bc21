// Package configfile reads the text of configuration files: never more than a
// configuration can have, and without waiting for ever, whatever stands where the file
// should be.
package configfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Most bounds the text of one file in bytes: some ten times what the largest farms need.
const Most = 64 << 20

// writerPatience is how long a FIFO may have no writer: the shell that makes one starts
// its writer and its reader at the same time.
const writerPatience = 2 * time.Second

// Read returns the text of a regular file, or of the one to which a symbolic link
// leads. Anything else is an error: the daemon must not wait for the writer of a FIFO.
func Read(name string) ([]byte, error) {
	f, mode, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !mode.IsRegular() {
		return nil, fmt.Errorf("%s is %s, allowed is a regular file", name, kind(mode))
	}
	return From(f, name)
}

// ReadAny returns what a command is to read: a regular file, or what comes out of a
// pipe or a terminal, such as /dev/stdin and the shell's <(...).
func ReadAny(name string) ([]byte, error) {
	f, mode, err := open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	switch mode.Type() {
	case 0, fs.ModeDevice | fs.ModeCharDevice:
		return From(f, name)
	case fs.ModeNamedPipe:
		for deadline := time.Now().Add(writerPatience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if text, err := From(f, name); err != nil || len(text) > 0 {
				return text, err
			}
		}
		return nil, fmt.Errorf("%s is a pipe into which nobody writes", name)
	}
	return nil, fmt.Errorf("%s is %s, allowed is a file or a pipe", name, kind(mode))
}

// From returns what is left in r, which errors call by name.
func From(r io.Reader, name string) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, Most+1))
	if err != nil {
		return nil, err
	}
	if len(text) > Most {
		return nil, fmt.Errorf("%s is too long for a configuration: allowed are %d MiB", name, Most>>20)
	}
	return text, nil
}

// open opens a file without waiting for a FIFO's writer. A terminal does not become
// that of the process.
func open(name string) (*os.File, fs.FileMode, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, unix.ENXIO) {
		return nil, 0, fmt.Errorf("%s is a socket or a device that is not there, allowed is a regular file", name)
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, info.Mode(), nil
}

// kind words what a file is that is no regular one.
func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case fs.ModeDir:
		return "a directory"
	case fs.ModeNamedPipe:
		return "a pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device"
}
