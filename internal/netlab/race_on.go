//go:build race

package netlab

// Race reports whether this program has the race detector, with which it cannot run inside User Mode Linux.
const Race = true
