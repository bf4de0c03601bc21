package watchdog

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"director/internal/control"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Events outlive the process, with their numbers, and half a line of one that was
// killed does no harm.
func TestJournal(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(dir, quiet())
	for _, to := range []string{"BACKUP", "MASTER", "BACKUP"} {
		j.add(control.Event{Kind: "instance", Subject: "web", To: to})
	}
	if early, err := ReadJournal(dir); err != nil || len(early) != 0 {
		t.Errorf("before the flush: %+v, %v", early, err)
	}
	j.flush()
	if early, err := ReadJournal(dir); err != nil || len(early) != 3 {
		t.Errorf("after the flush: %+v, %v", early, err)
	}
	j.buffer = append(j.buffer, `{"seq":4,"kind":"insta`...) // killed
	j.close()

	j = openJournal(dir, quiet())
	defer j.close()
	if e := j.add(control.Event{Subject: "after"}); e.Seq != 4 {
		t.Errorf("the first event after the restart has number %d", e.Seq)
	}
	got := j.after(1, 0)
	if len(got) != 3 || got[0].To != "MASTER" || got[2].Subject != "after" {
		t.Errorf("after 1: %+v", got)
	}
	if got := j.after(0, 2); len(got) != 2 || got[0].Seq != 3 {
		t.Errorf("the newest two: %+v", got)
	}
	if got := j.after(4, 0); len(got) != 0 {
		t.Errorf("after the last: %+v", got)
	}
	j.flush()
	left, err := ReadJournal(dir)
	if err != nil || len(left) != 4 || left[3].Seq != 4 {
		t.Errorf("left behind: %+v, %v", left, err)
	}
	if info, err := os.Stat(filepath.Join(dir, journalName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
}

// Memory and files are bounded; what is told are the newest.
func TestJournalIsBounded(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(dir, quiet())
	reason := strings.Repeat("x", 2000)
	const n = maxEvents + 700
	for range n {
		j.add(control.Event{Reason: reason})
	}
	if list := j.after(0, 0); len(list) != maxEvents || list[0].Seq != n-maxEvents+1 || list[maxEvents-1].Seq != n {
		t.Errorf("%d events from %d to %d", len(list), list[0].Seq, list[len(list)-1].Seq)
	}
	j.close()
	var sum int64
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		info, _ := e.Info()
		sum += info.Size()
	}
	if len(entries) != 2 || sum > 2*journalSize {
		t.Errorf("%d files, %d bytes", len(entries), sum)
	}
	if j = openJournal(dir, quiet()); j.seq != n {
		t.Errorf("goes on at %d", j.seq)
	}
	j.close()
}

// The older file is read when the newer has too few events, and goes before it.
func TestJournalOfTwoFiles(t *testing.T) {
	for _, tc := range []struct{ older, newer, first int }{{5, 3, 1}, {maxEvents, 3, 4}, {7, maxEvents, 8}, {7, maxEvents + 2, 10}} {
		dir := t.TempDir()
		j := openJournal(dir, quiet())
		for range tc.older {
			j.add(control.Event{Kind: "instance"})
		}
		j.turn()
		for range tc.newer {
			j.add(control.Event{Kind: "instance"})
		}
		j.close()
		list, err := ReadJournal(dir)
		last := tc.older + tc.newer
		if err != nil || len(list) != last-tc.first+1 {
			t.Fatalf("%+v: %d events, %v", tc, len(list), err)
		}
		for i, e := range list {
			if e.Seq != uint64(tc.first+i) {
				t.Fatalf("%+v: number %d stands at %d", tc, e.Seq, i)
			}
		}
	}
}

// A directory that cannot be written costs the history, not the daemon, and is told
// once.
func TestJournalWithoutADisk(t *testing.T) {
	var out bytes.Buffer
	j := openJournal("/proc/nowhere", slog.New(slog.NewTextHandler(&out, nil)))
	for range 3 {
		j.add(control.Event{})
	}
	if len(j.after(0, 0)) != 3 || strings.Count(out.String(), "not kept") != 1 {
		t.Errorf("%d events, log %s", len(j.after(0, 0)), out.String())
	}
}

// A line that cannot be read costs that line, and is told.
func TestJournalWithBrokenLines(t *testing.T) {
	event := func(seq int) string { return fmt.Sprintf(`{"seq":%d,"kind":"instance","to":"MASTER"}`+"\n", seq) }
	long := `{"seq":3,"kind":"reload","reason":"` + strings.Repeat("x", 3*maxJournalLine) + `"}` + "\n"
	for _, tc := range []struct {
		name, older, newer string
		want               []uint64
		lost               int
	}{
		{"too long", event(1), event(2) + long + event(4), []uint64{1, 2, 4}, 1},
		{"too long and last", event(1), event(2) + strings.TrimSuffix(long, "\n"), []uint64{1, 2}, 1},
		{"too long in the older file", event(1) + long, event(4), []uint64{1, 4}, 1},
		{"half a line", "", event(1) + event(2)[:20], []uint64{1}, 1},
		{"zeros of a power cut", "", event(1) + strings.Repeat("\x00", 500), []uint64{1}, 1},
		{"no event", "", event(1) + "{}\nnonsense\n\n" + event(2), []uint64{1, 2}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{journalName + ".1": tc.older, journalName: tc.newer} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out bytes.Buffer
			j := openJournal(dir, slog.New(slog.NewTextHandler(&out, nil)))
			if e := j.add(control.Event{Kind: "process"}); e.Seq != tc.want[len(tc.want)-1]+1 {
				t.Errorf("goes on with %d", e.Seq)
			}
			j.close()
			list, err := ReadJournal(dir)
			var got []uint64
			for _, e := range list {
				got = append(got, e.Seq)
			}
			if want := append(tc.want, tc.want[len(tc.want)-1]+1); err != nil || !slices.Equal(got, want) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
			if want := fmt.Sprintf("lines=%d ", tc.lost); !strings.Contains(out.String(), want) {
				t.Errorf("no %q in the log: %s", want, out.String())
			}
		})
	}
}

// What a full disk took half of does not spoil what follows when there is room again.
func TestJournalAfterAFullDisk(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(dir, quiet())
	j.add(control.Event{Kind: "instance"})
	j.add(control.Event{Kind: "instance"})
	j.flush()
	if _, err := j.file.WriteString(`{"seq":3,"ki`); err != nil {
		t.Fatal(err)
	}
	j.torn, j.seq = true, 3
	j.add(control.Event{Kind: "instance"})
	j.close()
	if list, err := ReadJournal(dir); err != nil || len(list) != 3 || list[2].Seq != 4 {
		t.Errorf("%+v, %v", list, err)
	}
}
