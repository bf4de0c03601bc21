package control

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"director/config"
)

// Each kind of event that the program makes, and each that a channel of notification can be set to, is among EventKinds.
func TestEventKinds(t *testing.T) {
	known, made := EventKinds(), map[string]bool{KindAlarm: true}
	literal := regexp.MustCompile(`control\.Event\{[^}]*?\bKind:\s*"(\w+)"`)
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range literal.FindAllSubmatch(text, -1) {
			made[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for kind := range made {
		if !slices.Contains(known, kind) {
			t.Errorf("events of kind %q are made, which EventKinds does not list", kind)
		}
	}
	if len(made) < 12 {
		t.Errorf("only %d kinds found in the source: %v", len(made), made)
	}
	for _, channel := range []any{config.Mail{}, config.Webhook{}, config.SNMP{}} {
		field, _ := reflect.TypeOf(channel).FieldByName("Events")
		allowed := strings.Fields(field.Tag.Get("oneof"))
		if len(allowed) == 0 {
			t.Errorf("%T takes no kinds of events", channel)
		}
		for _, kind := range allowed {
			if !slices.Contains(known, kind) {
				t.Errorf("%T takes events of kind %q, which EventKinds does not list", channel, kind)
			}
		}
	}
}
