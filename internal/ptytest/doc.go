// Package ptytest runs programs on a pseudo-terminal for tests, and shows what a person
// would see there.
package ptytest
