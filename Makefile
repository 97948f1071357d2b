# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The front door: each goal sets up what it needs, then calls Meson. What is
# built and how stands in the meson.build files.

BUILD = build
PREFIX ?= /usr/local
LIBDIR ?= lib
DESTDIR ?=
FUZZ_SECONDS ?= 600
SOAK_SECONDS ?= 600
KERNEL ?= $(shell uname -r)

.DEFAULT_GOAL = help
.PHONY: help run check check-model check-vm soak bench fuzz module install clean

help:
	@echo 'make run      build, replay a recorded trace and draw the area'
	@echo 'make check    build and run all tests: gcc, clang, sanitizers, valgrind'
	@echo 'make check-model  check the protocol of magazines with spin'
	@echo 'make soak     run the checkers of allocation for SOAK_SECONDS ($(SOAK_SECONDS))'
	@echo 'make check-vm run tests, those of the kernel module too, in machines under QEMU'
	@echo 'make bench    run the benchmarks; CSV to standard output'
	@echo 'make fuzz     run the fuzzers for FUZZ_SECONDS each ($(FUZZ_SECONDS))'
	@echo 'make module   build the kernel module for KERNEL ($(KERNEL))'
	@echo 'make install  build and install below PREFIX ($(PREFIX)); understands DESTDIR, LIBDIR'
	@echo 'make clean    remove what the above have built'

run:
	@scripts/setup run
	@scripts/configure $(BUILD)
	ninja -C $(BUILD) tools/cpu-alloc
	$(BUILD)/tools/cpu-alloc replay --map traces/netns-churn.ftrace.gz

check:
	@scripts/setup check
	@scripts/check

check-model:
	@scripts/setup check-model
	@scripts/check-model

soak:
	@scripts/setup soak
	@scripts/configure $(BUILD)
	ninja -C $(BUILD)
	scripts/soak $(BUILD) $(SOAK_SECONDS)

check-vm:
	@scripts/setup check-vm
	@scripts/check-vm

bench:
	@scripts/setup bench
	@scripts/configure $(BUILD) >&2
	@ninja -C $(BUILD) >&2
	@bench/run.sh $(BUILD)

fuzz:
	@scripts/setup fuzz
	@scripts/fuzz $(FUZZ_SECONDS)

module:
	@KERNEL='$(KERNEL)' scripts/setup module
	@scripts/module '$(KERNEL)'

install:
	@scripts/setup install
	@scripts/configure $(BUILD) -Dprefix='$(PREFIX)' -Dlibdir='$(LIBDIR)'
	ninja -C $(BUILD) installed
	$(if $(DESTDIR),DESTDIR="$$(realpath -m '$(DESTDIR)')") meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) build-clang build-asan build-aarch64 build-kernel build-vm
