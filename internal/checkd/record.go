package checkd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"director/ipvs"
)

// recordName is the file in the runtime directory that says which services are
// ours, so that one that the configuration dropped while nobody was running is
// removed, and a stranger's is not.
const recordName = "ipvs-owned.json"

// OwnsServices reports whether the records in dir list services, sync daemons or
// timeouts that a former run left in the kernel: they have to be taken away, or adopted, even when the
// configuration lists none any more.
func OwnsServices(dir string) bool {
	for _, name := range []string{recordName, wholeName} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// CheckRecord reports why the record in dir cannot be used; nil also when there is
// none.
func CheckRecord(dir string) error {
	_, err := readRecord(dir)
	return err
}

// recordFile is the content of the record.
type recordFile struct {
	Version  int               `json:"version"`
	Services []ipvs.ServiceKey `json:"services"`
}

// recordVersion is the only version of the format so far.
const recordVersion = 1

// readRecord returns the services that the record in dir lists; none when there
// is no record.
func readRecord(dir string) (ipvs.Set, error) {
	owned := ipvs.Set{}
	path := filepath.Join(dir, recordName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return owned, nil
	}
	if err != nil {
		return owned, fmt.Errorf("checkd: read record of owned services: %w", err)
	}
	var f recordFile
	if err := json.Unmarshal(text, &f); err != nil {
		return owned, fmt.Errorf("checkd: record of owned services %s: %w", path, err)
	}
	if f.Version != recordVersion {
		return owned, fmt.Errorf("checkd: record of owned services %s: version %d, known is %d", path, f.Version, recordVersion)
	}
	owned.Add(f.Services...)
	return owned, nil
}

// writeRecord replaces the record in dir, or removes it when owned is empty. A
// reader sees the old one or the new one, never a part.
func writeRecord(dir string, owned ipvs.Set) error {
	if len(owned) == 0 {
		return removeFile(dir, recordName)
	}
	return writeFile(dir, recordName, recordFile{Version: recordVersion, Services: slices.SortedFunc(maps.Keys(owned), ipvs.ServiceKey.Compare)})
}

// readFile reads into value what writeFile has written; version is that in value, known the
// one that it must have. Without a file value stays as it is.
func readFile(dir, name string, value any, version *int, known int) error {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, value)
	}
	if err == nil && *version != known {
		err = fmt.Errorf("version %d, known is %d", *version, known)
	}
	return err
}

// writeFile puts a value into a file of dir, whole or not at all, and on the disk.
func writeFile(dir, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return unwritable(dir, name, err)
	}
	// CreateTemp gives the file mode 0600.
	f, err := os.CreateTemp(dir, name+".*")
	if err != nil {
		return unwritable(dir, name, err)
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return unwritable(dir, name, err)
	}
	if err := syncDir(dir); err != nil {
		return unwritable(dir, name, err)
	}
	return nil
}

// unwritable names the file that could not be written, and not the one of a passing name
// that is written in its place: that differs each time.
func unwritable(dir, name string, err error) error {
	var at *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &at):
		err = at.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return fmt.Errorf("checkd: write %s: %w", filepath.Join(dir, name), err)
}

// removeFile removes a file of dir, which may be gone already.
func removeFile(dir, name string) error {
	err := os.Remove(filepath.Join(dir, name))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return unwritable(dir, name, err)
}

// syncDir brings the names in a directory to the disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
