// Package ipvsctl is what an operator does with the kernel's IPVS by hand: it shows
// the table in the columns of ipvsadm, byte for byte where docs/ipvsadm.md says so,
// and as JSON, and brings it to what a text in the language of ipvsadm says.
package ipvsctl
