package netlab

import (
	"testing"
)

func TestInsideUML(t *testing.T) {
	if !RequireIPVS(t) {
		return
	}
	t.Run("a", func(t *testing.T) { t.Log("hello") })
	t.Run("b", func(t *testing.T) { t.Run("c", func(t *testing.T) { t.Error("broken") }) })
}
