// Package observe watches what a host has outside of the network: files with a
// number in them, and processes that run. It also tells which gateway the
// default route leads to.
//
// Each watch is one function that runs until its context ends and calls back
// with what it sees. It follows the kernel's notifications where there are any
// and looks again and again where there are none; either way it also looks at a
// slow period, so that nothing stays unseen for long.
package observe
