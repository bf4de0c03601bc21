package ipvstest_test

import (
	"slices"
	"testing"

	"director/ipvs"
	"director/ipvs/ipvstest"
)

func TestFakeKeepsContract(t *testing.T) {
	ipvstest.RunContract(t, func(t *testing.T) ipvstest.Bed {
		k := ipvstest.New(nil)
		return ipvstest.Bed{
			Kernel: k,
			ByHand: func(t ipvstest.T, ops ...ipvs.Op) {
				t.Helper()
				if err := k.ByHand(ops...); err != nil {
					t.Fatal(err)
				}
			},
			Saved:      func(ipvstest.T) string { return k.String() },
			Schedulers: slices.DeleteFunc(ipvs.Schedulers(), func(s string) bool { return s == "twos" }),
		}
	})
}
