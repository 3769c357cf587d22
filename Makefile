# Parley's commands; `make` lists them. Each loops over the modules of go.work, pkg first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

MODULES  := $(sort $(shell sed -n 's|^[[:space:]]*\./|./|p' go.work))
SERVICES := $(notdir $(filter ./services/%,$(MODULES)))
BIN      := $(CURDIR)/bin

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.9.0
# What make test passes to go test besides -race; for example TESTFLAGS='-run TestOrder -count 20'.
TESTFLAGS ?=
# The tag of the images that make images builds.
VERSION   ?= dev

# $(call each,COMMAND) runs a command in every module, and fails at the end when it failed in any.
each = failed=; for module in $(MODULES); do (cd $$module && $(1)) || failed="$$failed $$module"; done; \
	[ -z "$$failed" ] || { echo "$@ failed in:$$failed" >&2; exit 1; }

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Running

.PHONY: demo
demo: require ## run everything here: a phone page, a played Graph API, replies; needs no configuration
	@go run ./services/standalone/cmd/parley demo

.PHONY: build
build: require-go ## build every program into bin/
	@mkdir -p $(BIN)
	@for main in services/*/cmd/*/; do echo "bin/$$(basename $$main)"; CGO_ENABLED=0 go build -trimpath -o $(BIN)/ ./$$main || exit 1; done

.PHONY: bench
bench: require ## measure this machine: webhooks, replies, rows, memory; six minutes (BENCH='-h' lists what can be chosen)
	@go run ./bench $(BENCH)

.PHONY: images
images: ## build a container image for every service, parley/SERVICE:$(VERSION)
	@for service in $(SERVICES); do \
		name=$${service/standalone/parley}; \
		docker build -f deploy/docker/Dockerfile --build-arg SERVICE=$$service --build-arg VERSION=$(VERSION) -t parley/$$name:$(VERSION) . || exit 1; \
	done

.PHONY: bench-bus
bench-bus: require-go ## measure package bus against raw JetStream and the stock adapter, as ratios; ten minutes
	@go run ./pkg/bus/bench $(BENCH)

##@ Checking

.PHONY: test
test: require-all ## run every test of every module, with the race detector
	@go test -race $(TESTFLAGS) $(MODULES:%=%/...)

.PHONY: lint
lint: $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION) ## lint every module
	@$(call each,echo "lint $$module" && $< run --allow-parallel-runners ./...)

.PHONY: format
format: $(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION) ## format every module's Go files
	@$(call each,$< fmt ./...)

.PHONY: format-check
format-check: require-go ## fail when a Go file is not formatted
	@files=$$(gofmt -l $(MODULES)); [ -z "$$files" ] || { printf 'not formatted (make format):\n%s\n' "$$files" >&2; exit 1; }

.PHONY: tidy
tidy: require-go ## tidy every module's go.mod
	@$(call each,GOWORK=off go mod tidy)

.PHONY: tidy-check
tidy-check: require-go ## fail when a go.mod or go.sum is not tidy
	@$(call each,GOWORK=off go mod tidy -diff)

.PHONY: build-each
build-each: require-go ## build and vet every module on its own, without the workspace
	@$(call each,echo "build $$module" && GOWORK=off go build ./... && GOWORK=off go vet ./...)

# The exit codes are govulncheck's; only an unreachable database is not a failure, and is said.
.PHONY: vuln
vuln: $(BIN)/govulncheck-$(GOVULNCHECK_VERSION) ## look for known vulnerabilities in what is called
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; \
	for module in $(MODULES); do \
		if $< -C $$module ./... >"$$out" 2>&1; then echo "$$module: no known vulnerability is called"; continue; fi; \
		if grep -q 'fetching vulnerabilities' "$$out"; then echo "vuln: NOT CHECKED: the vulnerability database (vuln.go.dev) cannot be reached from here"; exit 0; fi; \
		cat "$$out"; exit 1; \
	done

.PHONY: compose-check
compose-check: ## check docker-compose.yml
	@compose="docker-compose"; docker compose version >/dev/null 2>&1 && compose="docker compose"; \
	$$compose --env-file .env.example --profile demo config -q && echo "docker-compose.yml is valid ($$compose)"

.PHONY: ci
ci: ## all that a change must pass
	@bash .ci/run

.PHONY: chaos
chaos: require ## kill, stop and stall two of everything under load, and judge each message; four minutes (CHAOS='-h' lists what can be chosen)
	@go run ./chaos $(CHAOS)

.PHONY: chaos-bus
chaos-bus: require ## only what the bus has to stand: kill, stop and stall NATS and three responders under 20,000 messages; three minutes
	@go run ./chaos -ingress 1 -responder 3 -targets responder,nats -trouble kill,term,stall \
		-customers 2000 -messages 10 -rate 250 -duration 80s $(CHAOS)

##@ What the commands above need

.PHONY: require require-go require-all
require:
	@scripts/require go postgresql
require-go:
	@scripts/require go
require-all:
	@scripts/require go postgresql chromium

# A tool's version is in its file's name, so that a new pin installs anew.
$(BIN)/golangci-lint-$(GOLANGCI_LINT_VERSION): | require-go
	@echo "installing golangci-lint $(GOLANGCI_LINT_VERSION) into bin/" >&2
	@$(call install,github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION),golangci-lint)

$(BIN)/govulncheck-$(GOVULNCHECK_VERSION): | require-go
	@echo "installing govulncheck $(GOVULNCHECK_VERSION) into bin/" >&2
	@$(call install,golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION),govulncheck)

# By way of a folder inside bin/, so that a broken installation leaves nothing that looks like the tool.
install = mkdir -p $(BIN); dir=$$(mktemp -d $(BIN)/.install.XXXXXX); trap 'rm -rf "$$dir"' EXIT; \
	GOWORK=off CGO_ENABLED=0 GOBIN=$$dir go install $(1) && mv $$dir/$(2) $@
