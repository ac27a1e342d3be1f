# Everything that is made lies in build/out, everything that is fetched in build/deps.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

# The commands below run with the Go that build/setup.sh chose.
RUN := build/env.sh
OUT := build/out

# Between releases the version is the one in cmd/trtdet/version.go.
VERSION := $(shell git describe --tags --exact-match --dirty 2>/dev/null)
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)$(if $(shell git status --porcelain 2>/dev/null),-dirty)
# go does not look into the archive and the header that cgo uses. Their hashes on the command line make it build and
# test again when they change.
LIBRARY = $(shell sha256sum $(OUT)/lib/libtrtdet.a 2>/dev/null | cut -c1-16)
export CGO_CFLAGS := -O2 -g -DTRTDET_HEADER=0x$(shell sha256sum csrc/include/trtdet.h | cut -c1-15)
export TRTDET_LIBRARY = $(LIBRARY)
GO_LDFLAGS = $(VERSION:%=-X main.version=%) -X main.commit=$(COMMIT) -X main.library=$(LIBRARY)

FUZZTIME ?= 30s
BENCHTIME ?= 1s

.PHONY: help setup build library demo test test-full lint bench fuzz clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

setup: ## fetch what a build needs into build/deps
	@build/setup.sh build

library: setup
	@cmake --preset release >$(OUT)/cmake.log || { cat $(OUT)/cmake.log; exit 1; }
	@cmake --build --preset release

build: library ## build/out/bin/trtdet
	@$(RUN) go build -trimpath -ldflags '$(GO_LDFLAGS)' -o $(OUT)/bin/trtdet ./cmd/trtdet

demo: build ## build an engine from the model that the repository carries, and find objects in pictures
	@build/demo.sh

test: ## set up for tests and run them
	@build/setup.sh test
	@$(MAKE) --no-print-directory build
	@$(RUN) build/test.sh

test-full: ## every test, the long ones too: race detector, sanitizers, each fuzz target for FUZZTIME
	@build/setup.sh test
	@$(MAKE) --no-print-directory build
	@$(RUN) build/test.sh --full
	@$(MAKE) --no-print-directory fuzz

lint: ## gofmt, go vet, staticcheck, clang-format, clang-tidy, ruff, shellcheck
	@build/setup.sh build lint
	@$(MAKE) --no-print-directory library
	@$(RUN) build/lint.sh

bench: build ## benchmarks, BENCHTIME each
	@$(RUN) go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) -ldflags '$(GO_LDFLAGS)' ./...

fuzz: build ## each fuzz target for FUZZTIME
	@$(RUN) build/fuzz.sh $(FUZZTIME)

clean: ## remove what was made
	rm -rf $(OUT)

distclean: clean ## remove what was fetched too
	rm -rf build/deps
