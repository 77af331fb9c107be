# On a fresh Debian or Ubuntu with Rust and make, two commands are enough:
#   make run    installs what is missing, builds, and sells out a pop-up store while you watch
#   make test   installs what is missing, builds, and tests everything
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULE := target/release/libholdfast.so
CONSOLE := target/release/holdfast
# Servers that the tests use in addition to redis-server; see scripts/setup.
SERVERS := target/servers
STACK := $(SERVERS)/redis-stack
# Node is unpacked here if the machine has none that fits. Nothing else makes this directory.
NODE := target/node
# promtool is put here if the machine has none.
PROMETHEUS := target/prometheus
# cargo-deny is put here if the machine has none that fits.
DENY := target/deny
CHROMIUM ?= chromium
# Module and program for aarch64, and what looks into such files.
AARCH64 := $(subst release,aarch64-unknown-linux-gnu/release,$(MODULE) $(CONSOLE))
BINUTILS_AARCH64 := OBJCOPY=aarch64-linux-gnu-objcopy OBJDUMP=aarch64-linux-gnu-objdump
# What `make bench` measured; a quick run is not for the documents.
BENCH := $(if $(QUICK),target/bench/benchmarks.json,docs/benchmarks.json)
export CARGO_TARGET_DIR := $(CURDIR)/target
export PATH := $(abspath $(NODE))/bin:$(PATH)
# A Node that is not the system's own does not know certificates that were added to the system, such as a proxy's.
SYSTEM_CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
  /etc/ssl/ca-bundle.pem)
export NODE_EXTRA_CA_CERTS ?= $(firstword $(SYSTEM_CERTIFICATES))

# cargo uses all cores by itself, and two apt-get cannot run at the same time.
.NOTPARALLEL:
.PHONY: help setup servers node chromium postgres build run test test-matrix simulate chaos checks memcheck browser
.PHONY: clients fuzz mutants grafana rules promtool lint deny docs bench bench-gate package package-aarch64
.PHONY: test-package build-aarch64 test-aarch64 test-image clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## install what building and running need, if it is missing: C compiler, libclang, redis-server
	@scripts/setup rust cc libclang redis

servers: ## fetch more servers for the tests: Valkey; and RedisTimeSeries, RediSearch, RedisJSON
	@scripts/setup servers $(SERVERS)

node: ## fetch Node with npm, if this machine has none or one older than 20.19
	@scripts/setup node $(NODE)

chromium: ## install Chromium if it is missing
	@CHROMIUM=$(CHROMIUM) scripts/setup chromium

promtool: ## fetch promtool, which checks the rules of Prometheus, if this machine has none
	@scripts/setup promtool $(PROMETHEUS)

postgres: ## install PostgreSQL if it is missing: the suite of `make bench` starts a server of its own
	@scripts/setup postgres

build: setup ## build the module and the program holdfast
	cargo build --release --locked --workspace

run: build ## start redis-server with the module and sell out a pop-up store (DURATION=600: ten minutes)
	$(CONSOLE) sale

test: setup servers node chromium promtool checks lint build ## test everything: engine, module, program, page
	cargo test --locked --workspace --lib --bins --test lint
	servers=$$(command -v redis-server); \
	[ ! -x $(SERVERS)/valkey-server ] || servers+=:$(abspath $(SERVERS)/valkey-server); \
	stack=; [ ! -e $(STACK)/redistimeseries.so ] || stack=$(abspath $(STACK)); \
	HOLDFAST_SERVERS=$$servers HOLDFAST_STACK=$$stack HOLDFAST_MODULE=$(abspath $(MODULE)) \
	  HOLDFAST_BIN=$(abspath $(CONSOLE)) cargo test --locked --test suite
	$(MAKE) --no-print-directory browser grafana rules clients test-package
	@for part in test-aarch64 test-image bench-gate; do \
	  grep -q "make $$part;" $(SERVERS)/skipped || $(MAKE) --no-print-directory $$part QUICK=1; \
	done
	@cat $(SERVERS)/skipped $(DENY).skipped

package: build ## make a tarball and a Debian package, in target/package
	scripts/package $(MODULE) $(CONSOLE) $(CARGO_TARGET_DIR)/package

# The same for another machine than this one.
build-aarch64: setup
	@scripts/setup rust-aarch64
	@scripts/setup cc-aarch64
	CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
	  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	  cargo build --release --locked -p holdfast -p holdfast-console --target aarch64-unknown-linux-gnu

package-aarch64: build-aarch64 ## make them for aarch64 (arm64)
	$(BINUTILS_AARCH64) scripts/package $(AARCH64) $(CARGO_TARGET_DIR)/package

# Not optimised, which would take minutes: it is thrown away.
test-aarch64: export CARGO_PROFILE_RELEASE_LTO := off
test-aarch64: export CARGO_PROFILE_RELEASE_OPT_LEVEL := 0
test-aarch64: export CARGO_PROFILE_RELEASE_CODEGEN_UNITS := 16
test-aarch64: export CARGO_PROFILE_RELEASE_DEBUG := false
test-aarch64: build-aarch64 ## test the packages for aarch64, with a redis-server for aarch64 in an emulator
	@scripts/setup qemu-aarch64
	scripts/aarch64 $(SERVERS)/aarch64
	$(BINUTILS_AARCH64) RUN=$(abspath $(SERVERS)/aarch64/run) REDIS_SERVER=$(abspath $(SERVERS)/aarch64/redis-server) \
	  tests/package.sh $(AARCH64)

test-package: build ## test the packages: what is in them, and that a server starts with them
	tests/package.sh $(MODULE) $(CONSOLE)

test-image: ## run the steps of the Dockerfile in bare Debian roots (as root, on Debian; QUICK=1: not optimised)
	@scripts/setup debootstrap
	tests/image.py $(if $(QUICK),--quick) $(CARGO_TARGET_DIR)/image

# About five minutes a server.
test-matrix: setup servers build ## run the suite on Redis 7.0 to 8.6, Valkey 8.1 and 9.1 (FILTER=holds: a part)
	servers=$$(command -v redis-server):$(abspath $(SERVERS)/valkey-server); \
	others=$$(scripts/matrix $(SERVERS)/matrix $(STACK)); \
	HOLDFAST_SERVERS=$$servers:$$(paste -sd: <<<"$$others") HOLDFAST_STACK=$(abspath $(STACK)) \
	  HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) cargo test --locked --test suite -- $(FILTER)

# As fast as a release, with every assertion; the dependencies are those of other tests.
simulate: FAST := $(foreach name,holdfast holdfast-engine,--config profile.test.package.$(name).opt-level=2)
simulate: setup ## simulate busy days with faults against a model (SECONDS=3600; SEED=17: that one world)
	HOLDFAST_SECONDS=$(or $(SECONDS),60) $(if $(SEED),HOLDFAST_SEED=$(SEED)) \
	  cargo test --locked $(FAST) -p holdfast --lib simulation -- --nocapture

fuzz: setup ## look for input that breaks a promise, with libFuzzer (SECONDS=600: of each target; TARGET=image)
	@scripts/setup cxx
	scripts/fuzz $(or $(SECONDS),60) $(TARGET)

# Builds and tests once for each mutant, hours for all; .cargo/mutants.toml says what is left out.
mutants: setup ## break the code in small ways: does a test notice? (SHARD=0/200: every 200th way; ARGS=--list)
	command -v cargo-mutants >/dev/null || cargo install --locked cargo-mutants@27.1.0
	PROPTEST_MAX_SHRINK_ITERS=0 cargo mutants --package holdfast-engine --package holdfast --output target \
	  --shard $(or $(SHARD),0/200) --sharding round-robin $(ARGS)

checks: ## test scripts/setup: it finds what is missing, and says how to get it
	tests/setup.sh

# CLUSTER=1: the worlds that are clusters, and no others.
chaos: build ## random worlds on real servers, seed by seed: kills, failovers, clocks, outsiders (SECONDS=3600, SEED)
	CLUSTER=$(CLUSTER) HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) \
	  scripts/chaos $(or $(SECONDS),600) $(SEED)

memcheck: build ## run a part of the suite on a redis-server under valgrind: no error, no leak
	@scripts/setup valgrind
	HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) scripts/memcheck target/memcheck $(FILTER)

browser: build node chromium ## test the page in headless Chromium (HOLDFAST_SCREENSHOTS=dir: keep pictures)
	npm ci --prefix tests/browser --no-audit --no-fund
	HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) \
	  HOLDFAST_SCREENSHOTS=$(abspath $(HOLDFAST_SCREENSHOTS)) CHROMIUM=$$(command -v $(CHROMIUM)) \
	  npm test --prefix tests/browser

clients: build node ## test the clients for Python, Node and Rust, with the default options of their libraries
	@scripts/setup clients target/clients/python
	@cd clients/node; \
	[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund; \
	npm run --silent build
	cargo test --locked -p holdfast-client --all-features --test live --no-run
	HOLDFAST_MODULE=$(abspath $(MODULE)) clients/run

grafana: node ## check the Grafana dashboards with Grafana's own types and code
	@cd grafana/check; \
	[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund; \
	npm test

rules: promtool ## check the rules and alerts of Prometheus, and test when each alert fires
	@export PATH=$$PATH:$(abspath $(PROMETHEUS)); \
	promtool check rules grafana/rules/holdfast.yml; \
	promtool check config --syntax-only grafana/prometheus.yml; \
	promtool test rules grafana/rules/tests.yml

lint: setup ## check formatting and dependencies, run clippy
	@scripts/setup lint
	@$(MAKE) --no-print-directory deny
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

# The database of advisories is a git repository on the Internet: without it, the rest is checked.
deny: ## check licences, bans, sources and advisories of the dependencies
	@scripts/setup deny $(DENY)
	@mkdir -p $(dir $(DENY)); : >$(DENY).skipped
	@export PATH=$(abspath $(DENY)):$$PATH; checks="licenses bans sources"; \
	if timeout 60 cargo-deny fetch db >$(DENY).log 2>&1; then checks+=" advisories"; else \
	  echo "skipped: the advisories of the dependencies; $(DENY).log says why their database cannot be fetched" | \
	    tee $(DENY).skipped; \
	fi; \
	cargo-deny --locked check $$checks

docs: setup ## generate the reference of commands, errors and metrics from the tables in the code
	HOLDFAST_WRITE_DOCS=1 cargo test --locked --lib the_reference

bench: build ## measure Holdfast beside what people use instead, write docs/benchmarks.md (QUICK=1: a try)
	@$(MAKE) --no-print-directory node || echo "without BullMQ"
	@$(MAKE) --no-print-directory postgres || echo "without PostgreSQL"
	$(CONSOLE) bench suite $(if $(QUICK),--quick) --json $(BENCH)
	$(CONSOLE) bench render $(BENCH)

bench-gate: build ## count instructions and cache misses of the commands, compare with tests/gate/figures.json
	@scripts/setup valgrind
	$(CONSOLE) bench gate

clean: ## delete what was built
	cargo clean
