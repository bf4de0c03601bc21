// Package test holds the tests of the whole program: the binary, as a user runs it, on the hosts of a netlab.
package test
