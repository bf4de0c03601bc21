// Package bfd is Bidirectional Forwarding Detection (RFC 5880) in its
// asynchronous mode: the codec of control packets and the state machine of one
// session. A [Session] is moved by events and answers with actions; it holds no
// clock, socket or goroutine, and its owner brings packets and time.
//
// What RFC 5881 and RFC 5883 add about UDP, ports and the time to live is the
// business of package bfd/link.
//
// There is no authentication: a packet that carries some is dropped, as RFC 5880
// section 6.8.6 wants it of a session that has none. The echo function and
// demand mode are not offered to the peer; a peer's wish for demand mode is
// honoured.
package bfd
