# The few commands that a newcomer needs. All that is more than a line stands in `cargo xtask`.

SHELL := /bin/sh
SECONDS ?= 60
# rustup puts cargo here; a shell that was open before does not have it in its path yet.
export PATH := $(PATH):$(HOME)/.cargo/bin
# Real data for tests, where it lies beside the checkout; without it the tests that use it say that they are skipped.
ifneq ($(wildcard ../shared/data),)
export PATCHYARD_SHARED ?= $(abspath ../shared)
endif

.PHONY: help run demo test tidy bench fuzz

help:
	@echo "make run                 what is this machine missing? (builds the scanner first)"
	@echo "make demo                six real hosts in a lab, a server, what they miss, and patching them (needs root)"
	@echo "make test                installs what the tests need, then every check and every test"
	@echo "make tidy                only the checks that need no test"
	@echo "make bench               ours / peer / ratio, written to docs/bench.md"
	@echo "make fuzz SECONDS=60     every parser of foreign bytes, that many seconds each"

run:
	@scripts/run.sh

demo:
	@scripts/demo.sh

test:
	@scripts/setup.sh test
	@cargo xtask test

tidy:
	@cargo xtask tidy

bench:
	@scripts/setup.sh test
	@cargo xtask bench

fuzz:
	@scripts/setup.sh test
	@cargo xtask fuzz --seconds $(SECONDS)
