package link

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// formerName is the file in the runtime directory that says what the settings were
// before they were changed, so that they are put back even by a process that did
// not change them: all of director may have been killed in between. Both are gone
// after a boot.
const formerName = "settings-former.json"

// Former is what the settings of the host were before they were changed. The zero value
// keeps no record.
type Former struct {
	path   string                       // empty: it is kept in memory alone
	values map[string]map[string]uint32 // by device and name
}

// formerFile is the content of the record.
type formerFile struct {
	Version  int                          `json:"version"`
	Settings map[string]map[string]uint32 `json:"settings"`
}

const formerVersion = 1

// ReadFormer reads the record in a directory. One that cannot be read is an error, and
// will be replaced: settings that were changed are then taken for the host's.
func ReadFormer(dir string) (Former, error) {
	f := Former{path: filepath.Join(dir, formerName)}
	text, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("link: read record of settings: %w", err)
	}
	var content formerFile
	if err := json.Unmarshal(text, &content); err != nil {
		return f, fmt.Errorf("link: record of settings %s: %w", f.path, err)
	}
	if content.Version != formerVersion {
		return f, fmt.Errorf("link: record of settings %s: version %d, known is %d", f.path, content.Version, formerVersion)
	}
	f.values = content.Settings
	return f, nil
}

// of returns what a setting was, if it was changed.
func (f *Former) of(s Setting) (value uint32, changed bool) {
	value, changed = f.values[s.Device][s.Name]
	return value, changed
}

// note remembers what a setting is before it is changed.
func (f *Former) note(s Setting, value uint32) error {
	if f.values == nil {
		f.values = make(map[string]map[string]uint32)
	}
	if f.values[s.Device] == nil {
		f.values[s.Device] = make(map[string]uint32)
	}
	f.values[s.Device][s.Name] = value
	return f.write()
}

// drop forgets a setting that is as it was.
func (f *Former) drop(s Setting) error {
	if _, changed := f.of(s); !changed {
		return nil
	}
	delete(f.values[s.Device], s.Name)
	if len(f.values[s.Device]) == 0 {
		delete(f.values, s.Device)
	}
	return f.write()
}

// write replaces the record, or removes it when there is nothing to tell. A reader
// sees the old one or the new one, never a part.
func (f *Former) write() (err error) {
	if f.path == "" {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write record of settings: %w", err)
		}
	}()
	if len(f.values) == 0 {
		if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(formerFile{formerVersion, f.values})
	if err != nil {
		return err
	}
	next := f.path + ".new" // one process has the runtime directory
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.path)
}
