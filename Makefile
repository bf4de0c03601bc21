# director: everything that is done with the source tree. `make help` lists it.

GO      ?= go
PREFIX  ?= /usr/local
# Needed to build nothing but to run the demo and the tests: real peers, and a
# kernel with ip_vs for machines whose own has none.
PACKAGES = bird2 busybox chromium curl frr haproxy iproute2 iputils-ping ipvsadm keepalived mariadb-server nftables nginx-light nsd postgresql procps \
	prometheus python3-aiosmtpd redis-server slapd snmptrapd systemd tcpdump tshark user-mode-linux
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The lab needs namespaces, raw sockets and User Mode Linux: root.
SUDO    = $(shell [ "$$(id -u)" = 0 ] || echo sudo -E env PATH="$$PATH")
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
.PHONY: help build install demo test test-unit check fuzz bench packages clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PREFIX=$(PREFIX) DESTDIR= FUZZTIME=$(FUZZTIME) DEMOFLAGS=--keep GO=$(GO)"

build: ## build ./director, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o director ./cmd/director

install: build ## install the binary and the documents below PREFIX; unit, kernel settings and a sample in /etc
	install -D -m 0755 director $(DESTDIR)$(PREFIX)/sbin/director
	install -d $(DESTDIR)/etc/systemd/system
	sed 's|/usr/local/|$(PREFIX)/|g' etc/director.service >$(DESTDIR)/etc/systemd/system/director.service
	install -D -m 0644 etc/director.sysctl $(DESTDIR)/etc/sysctl.d/90-director.conf
	install -D -m 0644 etc/director.modules $(DESTDIR)/etc/modules-load.d/director.conf
	install -D -m 0600 etc/director.toml $(DESTDIR)/etc/director/director.toml.sample
	install -D -m 0644 etc/director.schema.json $(DESTDIR)/etc/director/director.schema.json
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/director README.md CHANGELOG.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/director/docs docs/*.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/director/etc etc/director.toml

demo: packages build ## two directors, two web servers, one VIP: see the main job done
	$(SUDO) ./director demo $(DEMOFLAGS)

test: packages ## every test: unit, network namespaces, real IPVS, whole daemon
	$(SUDO) $(GO) test -count=1 -timeout 20m ./...

test-unit: ## the tests that need neither root nor packages
	$(GO) test ./config/... ./vrrp ./bfd ./ipvs ./ipvs/ipvstest ./checkers ./internal/archtest ./internal/vrrpd ./internal/script ./internal/notify ./internal/control

check: ## gofmt, vet and staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

fuzz: ## every fuzzer, each for FUZZTIME
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/p' "$$f"); do \
			echo "$$name ($$f)"; \
			$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$f")" || exit 1; \
		done; done

bench: packages ## benchmarks, beside keepalived where it has the same job
	$(SUDO) $(GO) test -run '^$$' -bench . -benchmem -timeout 30m ./...
	$(SUDO) env DIRECTOR_BENCH=1 $(GO) test -count=1 -run TestKernel/speed -v ./ipvs/kernel
	$(SUDO) env DIRECTOR_BENCH=1 $(GO) test -count=1 -run 'TestFarmFaults/ipvs_commands' -v ./test

packages:
	@$(SUDO) .ci/packages $(PACKAGES)

clean: ## remove what was built
	rm -f director
