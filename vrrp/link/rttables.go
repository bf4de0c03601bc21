package link

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// RouteTables reads the names of routing tables as ip(8) knows them, from the file
// system of the host (os.DirFS("/")): /etc/iproute2/rt_tables and rt_tables.d, and
// what the distribution has below /usr. A line that makes no sense is skipped. The
// first error of a file that exists but cannot be read is returned with the rest.
func RouteTables(host fs.FS) (map[string]uint32, error) {
	tables := make(map[string]uint32)
	var failed error
	// The administrator's files come last, so that they have the last word.
	for _, dir := range []string{"usr/share/iproute2", "usr/lib/iproute2", "etc/iproute2"} {
		files, _ := fs.Glob(host, dir+"/rt_tables.d/*.conf") // the pattern is right
		slices.Sort(files)
		for _, name := range append([]string{dir + "/rt_tables"}, files...) {
			text, err := fs.ReadFile(host, filepath.ToSlash(name))
			if err != nil {
				if _, missing := fs.Stat(host, name); missing == nil && failed == nil {
					failed = fmt.Errorf("names of routing tables: %w", err)
				}
				continue
			}
			for line := range strings.Lines(string(text)) {
				line, _, _ = strings.Cut(line, "#")
				if f := strings.Fields(line); len(f) == 2 {
					if n, err := strconv.ParseUint(f[0], 0, 32); err == nil {
						tables[f[1]] = uint32(n)
					}
				}
			}
		}
	}
	return tables, failed
}
