package notify

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"director/config"
)

// longestSecret bounds a file that holds a secret.
const longestSecret = 4096

// CheckFiles yields the keys of a configuration that name a file with a secret
// which cannot be read, each with the reason.
func CheckFiles(c *config.Config) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if m := c.Notify.Mail; m != nil && m.PasswordFile != "" {
			if _, err := readSecret(m.PasswordFile); err != nil && !yield("notify.mail.password_file", err) {
				return
			}
		}
		if w := c.Notify.Webhook; w != nil && w.SecretFile != "" {
			if _, err := readSecret(w.SecretFile); err != nil && !yield("notify.webhook.secret_file", err) {
				return
			}
		}
	}
}

// readSecret reads a password from a file of its own. One newline at the end does
// not count. It is read at each use, so that a new one needs no reload.
func readSecret(path string) (string, error) {
	// Not to be held up by a FIFO or a terminal.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, longestSecret+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > longestSecret:
		return "", fmt.Errorf("%s is longer than %d bytes", path, longestSecret)
	case secret == "":
		return "", errors.New(path + " is empty")
	}
	return secret, nil
}
