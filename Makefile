# make run | test | bench | format | tidy | clean. Everything missing is installed first (Debian 12).
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: help install build programs run test bench format tidy clean

PORT ?= 3100
RATE ?= 200
WERROR ?= OFF
JOBS ?= $(shell nproc)
BUILD := build/release

help:
	@echo 'make run     build, start store and agent on sample logs, print URLs and an answer (PORT=3100)'
	@echo 'make test    build and run every test'
	@echo 'make bench   build and print the measured figures (LINES=400000)'
	@echo 'make format  clang-format all sources;  make tidy  clang-tidy the core'

install:
	@deploy/install-deps.sh

build: install
	@mkdir -p build
	@cmake --preset release -DSKALD_WERROR=$(WERROR) -DSKALD_TESTS=ON -DSKALD_BENCH=ON >build/configure.log 2>&1 || \
	  { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD) -j$(JOBS)

# Only the programs: `make run` should not wait for the tests.
programs:
	@deploy/install-deps.sh --build-only
	@mkdir -p build
	@cmake --preset release -DSKALD_TESTS=OFF -DSKALD_BENCH=OFF >build/configure.log 2>&1 || \
	  { cat build/configure.log; exit 1; }
	@cmake --build $(BUILD) -j$(JOBS) --target skald skald-agent skaldctl

run: programs
	@exec python3 deploy/demo/run.py --port $(PORT) --rate $(RATE)

test: build
	@cd $(BUILD) && ctest --output-on-failure -j$(JOBS) -LE e2e
	@cd $(BUILD) && ctest --output-on-failure -L e2e

LINES ?= 400000
bench: programs
	@python3 bench/e2e_bench.py --lines $(LINES)

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format-14 -i

tidy: install
	@.ci/tidy

clean:
	@rm -rf build
