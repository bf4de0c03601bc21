package config

import (
	"bytes"
	"fmt"
	"testing"
)

// farm is a document with n real servers behind n/100 services.
func farm(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		if i%100 == 0 {
			fmt.Fprintf(&b, "[virtual_server.s%d]\naddress = \"198.51.%d.%d:80\"\nforwarding = \"dr\"\ncheck = { type = \"tcp\" }\n",
				i/100, i/100/256, i/100%256)
		}
		fmt.Fprintf(&b, "[[virtual_server.s%d.real_server]]\naddress = \"10.%d.%d.%d:80\"\nweight = 10\n",
			i/100, i>>16, i>>8&255, i&255)
	}
	return b.Bytes()
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			text := farm(n)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("farm.toml", text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
