// Package demo plays director's main job before the eyes of a person: two
// directors, two web servers, one virtual address and a client that never stops
// asking, while servers, processes and machines fail and return.
//
// It is a play in acts. Each act does something to the farm, shows on a timeline
// what follows, and checks it against promises: that no request fails, that a
// switch takes the time that RFC 9568 gives it, that the kernel's table is not
// touched. What is checked is not taken from the directors themselves but from the
// wire, from the kernel and from the client's requests. A promise that is not kept
// is named, and makes Run fail.
package demo
