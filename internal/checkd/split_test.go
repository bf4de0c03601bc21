package checkd

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"director/internal/control"
)

// A virtual server of two addresses becomes two of one each. The one that keeps the name
// keeps what was ordered, wherever it stands in the file, and at the address that has
// another name now the server that was taken out does not come back unasked.
func TestSplitServiceKeepsItsOrders(t *testing.T) {
	const group = `
[virtual_server_group.vips]
members = ["192.0.2.1:80", "192.0.2.2:80"]
[virtual_server.web]
group = "vips"
real_server = [{ address = "10.0.0.1", name = "a" }, { address = "10.0.0.2", name = "b" }]
check = [{ type = "tcp" }]
`
	const servers = "\nreal_server = [{ address = \"10.0.0.1\", name = \"a\" }, { address = \"10.0.0.2\", name = \"b\" }]\ncheck = [{ type = \"tcp\" }]\n"
	web, admin := "[virtual_server.web]\naddress = \"192.0.2.1:80\""+servers, "[virtual_server.admin]\naddress = \"192.0.2.2:80\""+servers
	for _, split := range []string{web + admin, admin + web} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, "")
			w.run()
			w.configure(parsed(t, group))
			w.pass(time.Minute)
			w.obeys("maintain web a")
			w.pass(time.Second)
			before := w.inquire().Services[0]
			w.events()
			w.kernel.Log()
			w.configure(parsed(t, split))
			w.pass(time.Minute)
			w.table("web: b1; dns: b1")
			w.ops()
			for _, s := range w.inquire().Services {
				for _, r := range s.Servers {
					if in := r.Override.What() == control.VerbMaintain; in != (r.Name == "a") {
						t.Errorf("%s/%s: %+v", s.Name, r.Name, r.Override)
					}
				}
				if s.Name == "web" && !s.Since.Equal(before.Since) {
					t.Errorf("web is another one since the split, by its time %v, before %v", s.Since, before.Since)
				}
			}
			if got := w.events(); !strings.Contains(got, "admin/a ready>maintain") || strings.Contains(got, "web/a") {
				t.Errorf("events %s", got)
			}
			w.kill()
			w.run()
			w.configure(parsed(t, split))
			w.pass(time.Minute)
			w.table("web: b1; dns: b1")
			w.kill()
		})
	}
}
