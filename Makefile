# Two commands do everything on a fresh Debian or Ubuntu that has Rust and make:
#   make run    sets up what is missing, builds, and sells a pop-up store out while you watch
#   make test   sets up, builds, and tests everything
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULE := target/release/libholdfast.so
CONSOLE := target/release/holdfast
# Beside redis-server the tests run on what this holds; see scripts/setup.
SERVERS := target/servers
STACK := $(SERVERS)/redis-stack
# Where the machine has no Node that fits, one is unpacked here. Nothing else makes this directory.
NODE := target/node
CHROMIUM ?= chromium
export CARGO_TARGET_DIR := $(CURDIR)/target
export PATH := $(abspath $(NODE))/bin:$(PATH)
# Node that is not the system's own does not know the certificates that were added to the system, of a proxy say.
SYSTEM_CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt \
  /etc/ssl/ca-bundle.pem)
export NODE_EXTRA_CA_CERTS ?= $(firstword $(SYSTEM_CERTIFICATES))

# cargo uses all cores by itself, and two apt-get at a time get into each other's way.
.NOTPARALLEL:
.PHONY: help setup servers node chromium build run test checks browser grafana lint deny docs bench clean

help: ## what there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

setup: ## look for what building and running need, and install what is missing: C compiler, libclang, redis-server
	@scripts/setup rust cc libclang redis

servers: ## fetch what the tests run on too: Valkey, RedisTimeSeries
	@scripts/setup servers $(SERVERS)

node: ## fetch Node with npm, if this machine has none or one older than 20.19
	@scripts/setup node $(NODE)

chromium: ## install Chromium if there is none
	@CHROMIUM=$(CHROMIUM) scripts/setup chromium

build: setup ## build the module and the program holdfast
	cargo build --release --locked --workspace

run: build ## start redis-server with the module and sell a pop-up store out (DURATION=600 for ten minutes)
	$(CONSOLE) sale

test: setup servers node chromium checks lint build ## test everything: the engine, the module in real servers, the program, its page, the dashboards
	cargo test --locked --workspace --lib --bins --test lint
	servers=$$(command -v redis-server); \
	[ ! -x $(SERVERS)/valkey-server ] || servers+=:$(abspath $(SERVERS)/valkey-server); \
	stack=; [ ! -e $(STACK)/redistimeseries.so ] || stack=$(abspath $(STACK)); \
	HOLDFAST_SERVERS=$$servers HOLDFAST_STACK=$$stack HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) \
	  cargo test --locked --test suite
	$(MAKE) --no-print-directory browser grafana
	@cat $(SERVERS)/skipped

checks: ## test scripts/setup: that it finds what is missing, and says how to get it
	tests/setup.sh

browser: build node chromium ## test what a reader sees of holdfast watch, in headless Chromium (HOLDFAST_SCREENSHOTS=dir keeps pictures)
	npm ci --prefix tests/browser --no-audit --no-fund
	HOLDFAST_MODULE=$(abspath $(MODULE)) HOLDFAST_BIN=$(abspath $(CONSOLE)) HOLDFAST_SCREENSHOTS=$(abspath $(HOLDFAST_SCREENSHOTS)) \
	  CHROMIUM=$$(command -v $(CHROMIUM)) npm test --prefix tests/browser

grafana: node ## check the Grafana dashboards with Grafana's own types and code
	@cd grafana/check; \
	[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-audit --no-fund; \
	npm test

lint: setup ## formatting, clippy
	@scripts/setup lint
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

deny: ## licences, advisories and sources of the dependencies (needs cargo-deny)
	cargo deny check

docs: setup ## write docs/commands.md and docs/metrics.md from the tables in the code
	HOLDFAST_WRITE_DOCS=1 cargo test --locked --lib the_reference

bench: build ## CPU an operation and a life, wake-ups, retries, memory, growth, deadlines, loading; BullMQ
	@$(MAKE) --no-print-directory node || echo "without BullMQ"
	$(CONSOLE) bench

clean: ## remove what was built
	cargo clean
