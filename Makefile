# Jinux: an operating-system kernel in Rust. `make help` lists what there is.

MACHINE   ?= q35
SMP       ?= 1
MEM       ?= 512M
APPEND    ?=
INITRD    ?=
DISK      ?=
TOOLCHAIN ?= auto

# Where cargo builds; the files below it are the ones the documentation names.
TARGET := $(or $(CARGO_TARGET_DIR),target)
ENVIRONMENT := $(TARGET)/setup/$(TOOLCHAIN).env
LINUX := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/jinux/linux/vmlinuz

SETUP := tools/setup.sh $(ENVIRONMENT) $(TOOLCHAIN)
CARGO := . $(ENVIRONMENT) && cargo
JINUX := $(TARGET)/release/jinux

QEMU_FLAGS = --machine $(MACHINE) --smp $(SMP) --mem $(MEM) --initrd $(or $(INITRD),$(TARGET)/initramfs.cpio) \
	$(if $(APPEND),--append '$(APPEND)') $(foreach disk,$(DISK),--disk $(disk))

# What is wrong is said before anything is built.
MEBIBYTES := $(shell echo '$(MEM)' | sed -n 's/^\([1-9][0-9]*\)[Mm]$$/\1/p; s/^\([1-9][0-9]*\)[Gg]$$/\1000/p')
ifneq ($(filter run run-linux,$(MAKECMDGOALS)),)
  $(if $(filter $(MACHINE),q35 microvm),,$(error MACHINE=$(MACHINE): it can be q35 or microvm))
  $(if $(filter $(SMP),$(shell seq 16)),,$(error SMP=$(SMP): a machine has 1 to 16 CPUs))
  $(if $(filter $(MEBIBYTES),$(shell seq 11)),$(error MEM=$(MEM): the machine needs 12M at least))
  $(if $(MEBIBYTES),,$(error MEM=$(MEM): a size is written 512M or 2G))
  $(if $(INITRD),$(if $(wildcard $(INITRD)),,$(error INITRD=$(INITRD): there is no such file)))
  $(foreach disk,$(DISK),$(if $(wildcard $(disk)),,$(error DISK=$(disk): there is no such file)))
endif
$(if $(filter $(TOOLCHAIN),auto debian),,$(error TOOLCHAIN=$(TOOLCHAIN): it can be auto or debian))

.PHONY: help setup build run test check linux run-linux latency stress clean
.DEFAULT_GOAL := help

help: ## Show this text
	@echo 'Usage: make TARGET [VARIABLE=value ...]'
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  SMP=1          CPUs of the virtual machine'
	@echo '  MEM=512M       its memory'
	@echo '  MACHINE=q35    q35 or microvm'
	@echo '  APPEND=        words for the kernel command line'
	@echo '  INITRD=        an initramfs to boot in place of the one that is built'
	@echo '  DISK=          disk images (raw) to attach, separated by spaces'
	@echo '  TOOLCHAIN=auto use the Rust that is there; debian: the packaged compiler'

setup: ## Install what is missing (Rust target, QEMU, busybox, musl)
	@$(SETUP) rust lint qemu busybox musl

build: ## Build the kernel, target/jinux.elf, and the host command, target/release/jinux
	@$(SETUP) rust
	$(CARGO) build --release --locked -p tools
	$(CARGO) build --release --locked -p jinux-image --target x86_64-unknown-none
	$(JINUX) symbols $(TARGET)/x86_64-unknown-none/release/jinux-image $(TARGET)/jinux.elf

run: ## Boot to a shell in QEMU
	@$(SETUP) rust qemu busybox
	@$(MAKE) --no-print-directory build
	$(if $(INITRD),,$(JINUX) initramfs -o $(TARGET)/initramfs.cpio)
	$(JINUX) qemu --kernel $(TARGET)/jinux.elf $(QEMU_FLAGS)

test: ## Run every check and every test; the last line counts them
	@$(SETUP) rust lint qemu busybox musl
	$(CARGO) build --release --locked -p tools
	@. $(ENVIRONMENT) && $(JINUX) test

check: ## Formatting and lints
	@$(SETUP) rust lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --exclude jinux-image --all-targets -- -D warnings
	$(CARGO) clippy --locked -p jinux-image --target x86_64-unknown-none -- -D warnings

linux: ## Fetch Debian's kernel, the reference for the tests
	@$(SETUP) linux

run-linux: linux ## Boot Debian's kernel with the same files, to compare
	@$(SETUP) rust qemu busybox
	$(CARGO) build --release --locked -p tools
	$(if $(INITRD),,$(JINUX) initramfs -o $(TARGET)/initramfs.cpio)
	$(JINUX) qemu --kernel $(LINUX) $(QEMU_FLAGS) --append console=ttyS0

latency: linux build ## Count instructions of basic operations, beside Debian's kernel
	@$(SETUP) qemu busybox musl
	$(JINUX) latency --reference $(LINUX)

stress: build ## Storms for two minutes on four CPUs, which must leave nothing behind
	@$(SETUP) qemu busybox musl
	$(JINUX) stress

clean: ## Remove what was built
	rm -rf $(TARGET)
