// Package vrrp is the Virtual Router Redundancy Protocol: the packet codec of
// version 2 (RFC 3768) and version 3 (RFC 9568), the state machine of one
// virtual router, and the arithmetic of tracking.
//
// The package is pure. It opens nothing, starts nothing and reads no clock: an
// Instance is moved by Step(now, event) alone and answers with the actions
// that its owner has to carry out. RFC 9568 calls the forwarding router
// Active; this package says MASTER, the word of RFC 3768, of keepalived and of
// every script that is told about it.
package vrrp
