// Package archtest holds the rules of the house as tests: who may import whom,
// what a pure package must not contain, and how code is laid out. It has no
// code of its own.
package archtest
