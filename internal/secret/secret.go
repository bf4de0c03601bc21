// Package secret reads what a configuration keeps outside its text: passwords and
// keys in files of their own, and the credentials that systemd gives a service.
package secret

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"director/config"
)

const (
	// longest bounds a file that holds a secret.
	longest = 4096
	// directoryVariable names the folder of the service's credentials (systemd.exec(5)).
	directoryVariable = "CREDENTIALS_DIRECTORY"
)

// Read returns a secret. One newline at its end does not count. A file that others
// than its owner and group may write is refused, as anybody could replace what it
// holds. The error names the file, and never shows what is in it.
func Read(s config.SecretSource) (config.Secret, error) {
	f, _, err := open(s)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, longest+1))
	if err != nil {
		return "", err
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > longest:
		return "", fmt.Errorf("%s is longer than %d bytes", f.Name(), longest)
	case value == "":
		return "", errors.New(f.Name() + " is empty")
	}
	return config.Secret(value), nil
}

// Doubt says what is unwise about a secret that can be read: everybody may read
// it, or it belongs to somebody else than root and this process's user. It is
// empty when all is well, and when the secret cannot be read at all.
func Doubt(s config.SecretSource) string {
	f, st, err := open(s)
	if err != nil {
		return ""
	}
	defer f.Close()
	switch {
	case st.Mode&0o004 != 0:
		return fmt.Sprintf("%s is readable by everybody (mode %04o): chmod o-r %s", f.Name(), st.Mode&0o7777, f.Name())
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Sprintf("%s belongs to user %d, who can read and replace it: chown root %s", f.Name(), st.Uid, f.Name())
	}
	return ""
}

// path returns the file of a secret.
func path(s config.SecretSource) (string, error) {
	if s.Credential == "" {
		return s.File, nil
	}
	dir := os.Getenv(directoryVariable)
	if dir == "" {
		return "", fmt.Errorf("credential %s: $%s is not set: systemd sets it for a unit with LoadCredential=%s:PATH", s.Credential, directoryVariable, s.Credential)
	}
	if s.Credential == "." || s.Credential == ".." {
		return "", fmt.Errorf("credential %s: not the name of a credential", s.Credential)
	}
	return filepath.Join(dir, s.Credential), nil
}

func open(s config.SecretSource) (f *os.File, st unix.Stat_t, err error) {
	name, err := path(s)
	if err != nil {
		return nil, st, err
	}
	// Not to be held up by a FIFO or a terminal.
	f, err = os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, st, err
	}
	switch err = unix.Fstat(int(f.Fd()), &st); {
	case err != nil:
		err = &os.PathError{Op: "fstat", Path: name, Err: err}
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = fmt.Errorf("%s is not a regular file", name)
	case st.Mode&0o002 != 0:
		err = fmt.Errorf("%s may be replaced by everybody (mode %04o): chmod o-w %s", name, st.Mode&0o7777, name)
	}
	if err != nil {
		f.Close()
		return nil, st, err
	}
	return f, st, nil
}
