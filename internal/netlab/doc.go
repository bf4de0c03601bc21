// Package netlab makes hosts out of nothing: the machines, cables and peers that director's tests and its demo run on.
package netlab
