// Package labtest makes netlab's hosts into parts of a Go test. It is apart from netlab because the demo, and with it the program that is
// shipped, uses netlab and has no use for package testing.
//
// [New] makes a lab that ends with the test and shows the logs of its processes when the test failed. [RequireIPVS] runs a test
// again inside User Mode Linux where that is needed:
//
//	func TestKernel(t *testing.T) {
//		if !labtest.RequireIPVS(t) {
//			return // it ran inside, and its result is this test's
//		}
//		t.Run("adoption", func(t *testing.T) {
//			lab := labtest.New(t, "adopt")
//			director := lab.Host("director")
//			lab.Run(director, "ipvsadm", "-A", "-t", "192.0.2.1:80")
//			...
//
// [Postgres], [NSD] and others prepare real servers of Debian packages, on a host of the lab or on this machine; an [Authority] signs
// certificates for them.
//
// One boot takes 2 to 3 s, so a package has one such test with everything else below it.
package labtest
