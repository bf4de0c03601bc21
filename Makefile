# director: everything that is done with the source tree. `make help` lists it.

GO      ?= go
BINARY  ?= director
PREFIX  ?= /usr/local
# Where the host's own settings are read; packages put them below /usr/lib.
UNITDIR    ?= /etc/systemd/system
SYSCTLDIR  ?= /etc/sysctl.d
MODULESDIR ?= /etc/modules-load.d
# Needed to build nothing but to run the demo and the tests: real peers, and a
# kernel with ip_vs for machines whose own has none.
TOOLS = bash-completion bird2 busybox chromium curl fish frr groff-base haproxy iproute2 iputils-ping ipvsadm keepalived ldap-utils mariadb-server nftables nginx-light nsd postgresql procps \
	prometheus python3-aiosmtpd python3-grpcio redis-server rpm slapd snmp snmpd snmptrapd systemd tcpdump tshark user-mode-linux zsh
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM = github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# Packages want a number at the front: of the tag, else of the day of the commit.
PACKAGE_VERSION = $(shell git describe --tags --dirty=+dirty 2>/dev/null | sed -n 's/^v\([0-9]\)/\1/p' | tr - . | grep . || \
	git log -1 --date=format:%Y%m%d.%H%M%S --format=0~%cd.%h)
PACKAGE_ARCHES ?= amd64 arm64
# The lab needs namespaces, raw sockets and User Mode Linux: root.
SUDO    = $(shell [ "$$(id -u)" = 0 ] || echo sudo -E env PATH="$$PATH")
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
BENCH ?= .
.PHONY: help build install demo test test-unit check fuzz bench bench-farms bench-vrrp bench-code packages tools modules clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PREFIX=$(PREFIX) DESTDIR= FUZZTIME=$(FUZZTIME) DEMOFLAGS=--keep GO=$(GO)"

build: ## build ./director, one static binary
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BINARY) ./cmd/director

# BUILD= leaves a binary as it is that was built before, PACKAGE_BINARY is what to put into packages.
BUILD ?= build
PACKAGE_BINARY ?= build/director.$$arch
PACKAGE_DIR ?= build/packages

install: $(BUILD) ## install the binary, manual pages, completion and documents below PREFIX; unit, kernel settings and a sample in /etc
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/sbin/director
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/local/|$(PREFIX)/|g' etc/director.service >$(DESTDIR)$(UNITDIR)/director.service
	chmod 0644 $(DESTDIR)$(UNITDIR)/director.service
	install -D -m 0644 etc/director.sysctl $(DESTDIR)$(SYSCTLDIR)/90-director.conf
	install -D -m 0644 etc/director.modules $(DESTDIR)$(MODULESDIR)/director.conf
	install -D -m 0600 etc/director.toml $(DESTDIR)/etc/director/director.toml.sample
	install -D -m 0644 etc/director.schema.json $(DESTDIR)/etc/director/director.schema.json
	env -u GOARCH $(GO) run -tags manual -ldflags '-X main.version=$(VERSION)' ./cmd/director man $(DESTDIR)$(PREFIX)/share/man/man8
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	env -u GOARCH $(GO) run ./cmd/director completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/director
	env -u GOARCH $(GO) run ./cmd/director completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_director
	env -u GOARCH $(GO) run ./cmd/director completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/director.fish
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/director README.md CHANGELOG.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/director/docs docs/*.md
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/director/docs/images docs/images/*.png
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/doc/director/etc etc/director.toml etc/prometheus/alerts.yml etc/grafana/director.json
	cp -r etc/examples $(DESTDIR)$(PREFIX)/share/doc/director/etc/

demo: tools build ## two directors, two web servers, one VIP: see the main job done
	$(SUDO) ./director demo $(DEMOFLAGS)

# The time limit is for a slow machine with one processor.
test: tools modules ## every test: unit, network namespaces, real IPVS, whole daemon
	$(SUDO) $(GO) test -count=1 -timeout 60m $$($(GO) list ./... | grep -v '/test$$')
	@# What measures the whole daemon has the machine for itself.
	$(SUDO) $(GO) test -count=1 -timeout 60m ./test

test-unit: ## the tests that need neither root nor packages
	$(GO) test ./config/... ./etc ./vrrp ./bfd ./ipvs ./ipvs/ipvstest ./checkers ./internal/archtest ./internal/agentx ./internal/vrrpd ./internal/script ./internal/notify ./internal/control

check: modules ## gofmt, vet and staticcheck
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "not gofmt-ed: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

fuzz: ## every fuzzer, each for FUZZTIME
	@grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+).*/\1/p' "$$f"); do \
			echo "$$name ($$f)"; \
			$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$f")" || exit 1; \
		done; done

bench: bench-farms bench-vrrp bench-code ## all benchmarks, half an hour; docs/performance.md tells of each

# One part alone: make bench-farms BENCH=Checks (or Detection, Reload, Farm); more or fewer rounds: BENCH_ROUNDS=5.
bench-farms: tools ## farms beside keepalived and ipvsadm: the table is build/bench.txt
	@$(SUDO) .ci/packages gcc libc6-dev
	@mkdir -p build
	$(SUDO) env DIRECTOR_BENCH=1 $(GO) test -count=1 -timeout 30m -run '^TestBench($(BENCH))' -v ./test >build/bench.log 2>&1; status=$$?; \
		sed -n 's/^.*bench| //p' build/bench.log | awk '!seen[$$0]++' | tee build/bench.txt; \
		[ $$status = 0 ] || { tail -n 50 build/bench.log; exit $$status; }

bench-vrrp: tools ## virtual routers beside keepalived
	$(SUDO) $(GO) test -run '^$$' -bench . -timeout 30m ./test

bench-code: tools ## benchmarks of packages
	$(SUDO) $(GO) test -run '^$$' -bench . -benchmem -timeout 30m $$($(GO) list ./... | grep -v '/test$$')
	$(SUDO) env DIRECTOR_BENCH=1 $(GO) test -count=1 -run TestKernel/speed -v ./ipvs/kernel
	$(SUDO) env DIRECTOR_BENCH=1 $(GO) test -count=1 -run 'TestFarmFaults/ipvs_commands' -v ./test

packages: ## .deb and .rpm packages in build/packages
	@mkdir -p $(PACKAGE_DIR)
	@for arch in $(PACKAGE_ARCHES); do \
		stage=$(PACKAGE_DIR)/stage.$$arch; rm -rf $$stage; \
		GOARCH=$$arch $(MAKE) --no-print-directory install BINARY=$(PACKAGE_BINARY) DESTDIR=$$stage PREFIX=/usr \
			UNITDIR=/usr/lib/systemd/system SYSCTLDIR=/usr/lib/sysctl.d MODULESDIR=/usr/lib/modules-load.d >/dev/null && \
		rm $$stage/etc/director/director.toml.sample && \
		for kind in deb rpm; do \
			ARCH=$$arch STAGE=$$stage PACKAGE_VERSION='$(PACKAGE_VERSION)' \
				$(GO) run $(NFPM) package --config etc/package/nfpm.yaml --packager $$kind --target $(PACKAGE_DIR)/ || exit 1; \
		done && rm -r $$stage || exit 1; \
	done

tools:
	@$(SUDO) .ci/packages $(TOOLS)

# What the go command fetches, before anything depends on it: a proxy may fail once.
modules:
	@.ci/retry $(GO) mod download
	@.ci/retry $(GO) run $(STATICCHECK) -version >/dev/null
	@.ci/retry $(GO) run $(NFPM) --version >/dev/null

clean: ## remove what was built
	rm -rf director build
