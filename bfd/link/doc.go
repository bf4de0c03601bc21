// Package link carries the packets of package bfd over UDP: single hop (RFC
// 5881) and multihop (RFC 5883), IPv4 and IPv6.
//
// A [Listener] is the one socket on which packets for a port arrive, shared by
// all sessions; a [Sender] is a session's own, with a source port that stays. No
// method blocks or starts a goroutine: the owner waits for a Listener's
// descriptor in an epoll set of its own and calls Read.
package link
