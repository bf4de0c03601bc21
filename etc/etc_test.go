package etc

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"director/config"
)

var update = flag.Bool("update", false, "write director.schema.json anew")

// TestSchemaIsCurrent asks that the schema beside the sample is what the model and the
// sample's comments make, and that the sample names it.
func TestSchemaIsCurrent(t *testing.T) {
	const file = "director.schema.json"
	want, err := config.JSONSchema(Annotated)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current: go test ./etc -update", file)
	}
	if !strings.HasPrefix(Annotated, "#:schema ./"+file+"\n") {
		t.Error("the sample does not name its schema in its first line")
	}
}
