# SPDX-License-Identifier: GPL-2.0
#
# The commands of people. What the kernel's build system reads is Kbuild.
#
#   make            build the modules         make test    host and guest tests
#   make run        the demonstration         make bench   beside AF_INET
#   make guest CMD='…'                        make shell
#   make test-debug  under KASAN, lockdep, kmemleak    make test-nic  every suite, each driver
#   make test-faults  with failing allocations         make test-kcsan  looking for data races
#
# Each command makes what it lacks. `make help` says more.

MAKEFLAGS += --no-print-directory
SHELL := /bin/bash
S := scripts

# What a person says on make's command line reaches the scripts as environment.
export CMD FILES OUT MODE NIC NICDRV NICOPTS NICBUS MONITOR PORTS ICOUNT CPUS MEM LEAN TIMEOUT HOSTFWD PCAP NOLOAD KEEP
export MODPARAMS MODULES TOOLS APPEND QEMU_ARGS LOG V TESTS JOBS SCRIPTS FAMILY RUNNER KDIR
# KERNEL names the guest's kernel; the scripts use that name for a directory.
KERNEL_KIND := $(or $(KERNEL),stock)
export KERNEL_KIND

.PHONY: modules
modules: setup
	@$(S)/build-modules

.PHONY: modules_install
modules_install: modules
	@$(S)/install-modules

.PHONY: setup
setup:
	@$(S)/setup

.PHONY: tools
tools: setup
	@$(S)/build-tools

.PHONY: guest
guest: $(if $(NOLOAD),setup,modules) tools
	@qemu/run

.PHONY: shell
shell: $(if $(NOLOAD),setup,modules) tools
	@SHELL_MODE=1 qemu/run

.PHONY: run
run: modules tools
	@$(S)/demo

.PHONY: check
check: setup
	@$(S)/check

.PHONY: test
test: setup
	@$(S)/test

.PHONY: bench
bench: modules tools
	@$(S)/bench

.PHONY: bench-nic
bench-nic: modules tools
	@$(S)/bench nic

.PHONY: bench-loss
bench-loss: modules tools
	@$(S)/bench loss

.PHONY: kselftest
kselftest: modules tools
	@$(S)/kselftest

.PHONY: packetdrill
packetdrill: $(if $(filter inet,$(FAMILY)),setup,modules) tools
	@$(S)/packetdrill

# The guest tests on the kernel with sanitizers; with every allocation failing in turn.
.PHONY: test-debug test-faults test-kcsan
test-debug: setup
	@KERNEL_KIND=debug PLAN=$(S)/debug-tests $(S)/test
test-faults: setup
	@KERNEL_KIND=debug PLAN=$(S)/fault-tests $(S)/test
# On the kernel that looks for data races.
test-kcsan: setup
	@KERNEL_KIND=kcsan PLAN=$(S)/kcsan-tests $(S)/test

# Every suite with each driver of the network card, and what takes long.
.PHONY: test-nic
test-nic: setup
	@PLAN=$(S)/nic-tests $(S)/test

# The cache stays: the root and the kernel do not depend on this checkout.
.PHONY: clean
clean:
	@$(S)/clean

.PHONY: help
help:
	@sed -n '/^# qemu\/run:/,/^set /{ s/^# \{0,1\}//; /^set /!p }' qemu/run
