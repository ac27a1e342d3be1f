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
# go does not look into the archive and the header that trt uses. Their hashes on its command lines make it compile and
# link again when they change (-D, of imports by relative path, does nothing else in a module).
LIBRARY = $(shell sha256sum $(OUT)/lib/libtrtdet.a 2>/dev/null | cut -c1-16)
HEADER := $(shell cat csrc/include/*.h | sha256sum | cut -c1-16)
# The program looks for libraries in the checkout that it was built in while it lies there, and knows it by these, not
# by what a folder above it looks like.
SHAREDLIB := github.com/trtdet/trtdet/internal/sharedlib
LDFLAGS = $(VERSION:%=-X main.version=%) -X main.commit=$(COMMIT) -X main.library=$(LIBRARY) \
	-X $(SHAREDLIB).builtInto=$(OUT)/bin -X $(SHAREDLIB).builtDeps=build/deps
GO_FLAGS = -gcflags 'github.com/trtdet/trtdet/trt=-D $(HEADER)' -ldflags '$(LDFLAGS)'

PREFIX ?= /usr/local
FUZZTIME ?= 30s
BENCHTIME ?= 1s
ROUNDS ?= 5

.PHONY: help install gpu-pack gpu-test gpu-bench nets setup setup-test setup-lint build library simgpu demo test test-full lint bench microbench fuzz clean distclean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 12

setup: ## fetch what a build needs into build/deps
	@build/setup.sh build

library: setup ## the C++ half that Go links: build/out/lib
	@cmake --preset release >$(OUT)/cmake.log || { cat $(OUT)/cmake.log; exit 1; }
	@cmake --build --preset release

build: library ## the program: build/out/bin/trtdet
	@# the tag leaves out cli's writer of manual pages, whose start costs each process more than a millisecond
	@$(RUN) build/progress.sh trtdet go build -v -trimpath -tags urfave_cli_no_docs $(GO_FLAGS) -o $(OUT)/bin/trtdet ./cmd/trtdet

simgpu: library ## the simulated GPU that tests run on where there is none: build/out/simgpu
	@cmake --preset release -DTRTDET_SIMGPU=ON >$(OUT)/cmake.log || { cat $(OUT)/cmake.log; exit 1; }
	@cmake --build --preset release --target simgpu simgpu_nvml simgpu_tensorrt

install: build ## trtdet, what it loads, and what a Go module of your own is built with, into PREFIX (/usr/local)
	@build/install.sh "$(PREFIX)"

demo: build ## build an engine from the model that the repository carries, and find objects in pictures
	@build/demo.sh

setup-test: ## fetch what a build and the tests need
	@build/setup.sh test

setup-lint: ## fetch what a build and the linters need
	@build/setup.sh build lint

nets: setup-test ## the nets that the tests run, of every kind and layout: build/out/nets
	@$(RUN) build/test.sh --nets

test: setup-test build ## set up for tests and run them
	@$(RUN) build/test.sh $(GO_FLAGS)

test-full: setup-test build ## every test, the long ones too: race detector, sanitizers, each fuzz target for FUZZTIME
	@build/setup.sh test full
	@$(RUN) build/test.sh --full $(GO_FLAGS)
	@$(RUN) build/fuzz.sh $(FUZZTIME)

lint: setup-lint library ## gofmt, go vet, staticcheck, clang-format, clang-tidy, ruff, shellcheck, and that no test measures the clock
	@$(RUN) build/lint.sh

bench: setup-test build simgpu ## trtdet beside others, as docs/benchmarks.md has it, in ROUNDS rounds (5)
	@build/setup.sh test bench
	@$(RUN) go run ./tests/bench -rounds $(ROUNDS)

microbench: build simgpu ## Go's benchmarks of single functions, BENCHTIME (1s) each
	@$(RUN) go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(GO_FLAGS) ./...

gpu-pack: setup-test build nets ## a folder for a machine with a GPU and nothing else: programs, tests, models, TensorRT 10
	@build/setup.sh gpu
	@$(RUN) build/gpu/pack.sh $(GO_FLAGS)

gpu-test: setup-test build nets ## on a machine with a GPU and TensorRT: kernels, compute-sanitizer, engines against ONNX Runtime
	@$(RUN) build/gpu/pack.sh --tree $(GO_FLAGS)
	@RESULTS=$(OUT)/gpu/results $(OUT)/gpu/tree/build/gpu/run.sh test

gpu-bench: setup-test build nets ## on the same: pictures a second, beside PyTorch and ONNX Runtime
	@$(RUN) build/gpu/pack.sh --tree $(GO_FLAGS)
	@RESULTS=$(OUT)/gpu/results $(OUT)/gpu/tree/build/gpu/run.sh bench

fuzz: build ## each fuzz target for FUZZTIME (30s)
	@$(RUN) build/fuzz.sh $(FUZZTIME)

clean: ## remove what was made
	rm -rf $(OUT)

distclean: clean ## remove what was fetched too
	rm -rf build/deps
