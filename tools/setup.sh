#!/usr/bin/env bash
# Installs what the Makefile needs, skipping what is there, and writes the build environment.
#
#   tools/setup.sh ENVIRONMENT TOOLCHAIN NEED...
#
# ENVIRONMENT is the file to write (sourced before every cargo command). TOOLCHAIN is `auto` or
# `debian`. NEED is any of: rust lint qemu busybox musl linux.
set -euo pipefail

environment=$1
toolchain=$2
shift 2

kernel_target=x86_64-unknown-none
root=$(cd "$(dirname "$0")/.." && pwd)
least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/jinux
packages=()

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$@" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
# at_least VERSION: VERSION is no older than the workspace's rust-version.
at_least() { [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$least" "$1" | sort -V | head -n 1)" = "$least" ]; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else have sudo && sudo "$@"; fi
}

# apt PACKAGE...: installs them, or says what to install where apt-get is not the way.
apt() {
    [ $# -gt 0 ] || return 0
    have apt-get || die "please install: $*" \
        "(Debian's names; Fedora: qemu-system-x86-core busybox musl-gcc gcc; Arch: qemu-system-x86 busybox musl gcc;" \
        " Rust: https://rustup.rs)" "then run make again"
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    if ! apt-cache show "$@" >/dev/null 2>&1; then
        as_root apt-get -q update >&2 || say "apt-get update failed; trying with the package lists at hand"
    fi
    as_root apt-get -q install -y --no-install-recommends "$@" >&2 ||
        die "could not install: $*" "install them by hand (as root: apt-get install $*), then run make again"
}

rust_version() { "$@" rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p'; }
has_target() { compgen -G "$("$@" rustc --print target-libdir --target $kernel_target 2>/dev/null)/libcore-*.rlib" >/dev/null; }

# The compiler that is already there, if it can build the kernel; rustup may fetch what is missing.
rust_present() {
    have cargo && have rustc || return 1
    if ! at_least "$(rust_version env)"; then
        have rustup || return 1
        say "asking rustup for a Rust of at least $least"
        rustup toolchain install stable --profile minimal >&2 || return 1
        at_least "$(rust_version env)" || return 1
    fi
    has_target env && return 0
    have rustup || return 1
    say "asking rustup for the target $kernel_target"
    rustup target add $kernel_target >&2 && has_target env
}

# Rust from rustup as a Debian package (Debian 13, Ubuntu 24.04 and later have one).
rust_from_rustup_package() {
    apt-cache show rustup >/dev/null 2>&1 || return 1
    apt rustup
    rustup toolchain install stable --profile minimal --target $kernel_target >&2 && rustup default stable >&2
}

# The version apt-get would install of a package.
candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9.]*\).*/\1/p'; }

# Names of the packaged compiler that is new enough: compiler, cargo, source, and the linters.
debian_packages() {
    if at_least "$(candidate rustc-web)"; then
        echo rustc-web cargo-web rust-web-src rust-web-clippy rustfmt-web
    elif at_least "$(candidate rustc)"; then
        echo rustc cargo rust-src rust-clippy rustfmt
    fi
}

# Debian's compiler has no $kernel_target: build core and alloc once into a sysroot of our own.
# After that every build is plain cargo, with no unstable feature enabled.
rust_from_debian() {
    if ! at_least "$(rust_version env PATH=/usr/bin:/bin RUSTUP_TOOLCHAIN=/usr)" ||
        [ ! -e "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ] ||
        [ ! -e /usr/bin/cargo-clippy ] || [ ! -e /usr/bin/cargo-fmt ]; then
        have apt-get && [ -z "$(debian_packages)" ] && { as_root apt-get -q update >&2 || true; }
        local names
        names=$(debian_packages)
        [ -n "$names" ] || die "there is no Rust $least or later here, and no package of it." \
            "install rustup from https://rustup.rs, then run make again"
        # shellcheck disable=SC2086
        apt $names
    fi
    [ -e /usr/bin/cc ] || apt gcc libc6-dev
    local version sysroot lib build
    version=$(/usr/bin/rustc --version | cut -d' ' -f2)
    # The name tells how it was built: cargo rebuilds what was compiled against another.
    sysroot=$cache/sysroot-$version-bitcode
    lib=$sysroot/lib/rustlib/$kernel_target/lib
    if ! compgen -G "$lib/libcore-*.rlib" >/dev/null; then
        say "building core and alloc for $kernel_target (once, about a minute)"
        build=$cache/build-$version
        mkdir -p "$build/src" "$lib"
        printf '[package]\nname = "sysroot"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n' >"$build/Cargo.toml"
        printf '#![no_std]\nextern crate alloc;\n' >"$build/src/lib.rs"
        # With bitcode beside the code, so that the image can be optimized as a whole.
        (cd "$build" && env -u RUSTFLAGS RUSTUP_TOOLCHAIN=/usr RUSTC_BOOTSTRAP=1 PATH="/usr/bin:$PATH" \
            CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS=-Cembed-bitcode=yes \
            cargo build --release -Zbuild-std=core,alloc,compiler_builtins \
            --target $kernel_target --target-dir "$build/target" >&2) ||
            die "building core and alloc failed; see above"
        cp "$build/target/$kernel_target/release/deps/"lib{core,alloc,compiler_builtins}-*.{rlib,rmeta} "$lib/"
        rm -rf "$build"
    fi
    ln -sfn "$(/usr/bin/rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu" \
        "$sysroot/lib/rustlib/x86_64-unknown-linux-gnu"
    {
        echo 'export RUSTUP_TOOLCHAIN=/usr PATH="/usr/bin:$PATH"'
        echo "export CARGO_TARGET_X86_64_UNKNOWN_NONE_RUSTFLAGS='--sysroot $sysroot -Clinker-flavor=ld'"
        echo 'export CARGO_TARGET_X86_64_UNKNOWN_NONE_LINKER=/usr/bin/ld'
    } >"$environment.new"
}

set_up_rust() {
    : >"$environment.new"
    if [ "$toolchain" = auto ]; then
        [ -e "$HOME/.cargo/bin/cargo" ] && export PATH="$HOME/.cargo/bin:$PATH"
        if rust_present; then
            echo "export PATH=\"$(dirname "$(command -v cargo)"):\$PATH\"" >"$environment.new"
            have cc || apt gcc libc6-dev
            return
        fi
        say "no Rust $least or later with the target $kernel_target; using the distribution's"
        if have apt-get && [ -z "$(debian_packages)" ] && rust_from_rustup_package; then
            have cc || apt gcc libc6-dev
            return
        fi
    fi
    rust_from_debian
}

set_up_lint() {
    (. "$environment" && cargo clippy --version && cargo fmt --version) >/dev/null 2>&1 && return
    have rustup && rustup component add clippy rustfmt >&2
}

is_static() { have "$1" && ! ldd "$(command -v "$1")" >/dev/null 2>&1; }

[ "$toolchain" = auto ] || [ "$toolchain" = debian ] || die "TOOLCHAIN must be auto or debian, not $toolchain"
mkdir -p "$(dirname "$environment")"
for need in "$@"; do
    case $need in
        qemu) have qemu-system-x86_64 || packages+=(qemu-system-x86) ;;
        busybox) is_static busybox || packages+=(busybox-static) ;;
        musl) have musl-gcc || packages+=(musl-tools) ;;
        rust | lint | linux) ;;
        *) die "unknown need: $need" ;;
    esac
done
apt "${packages[@]}"
for need in "$@"; do
    case $need in
        rust)
            set_up_rust
            cmp -s "$environment.new" "$environment" && rm "$environment.new" || mv "$environment.new" "$environment"
            ;;
        lint) set_up_lint ;;
        linux)
            # Debian's kernel, unpacked and not installed: the reference that tests are checked with.
            if [ ! -e "$cache/linux/vmlinuz" ]; then
                have apt-get || die "the reference kernel is a Debian package; pass --kernel to jinux test instead"
                mkdir -p "$cache/linux"
                cd "$cache/linux"
                image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
                [ -n "$image" ] || die "apt-cache knows no linux-image-cloud-amd64"
                say "fetching $image (not installed)"
                apt-get -q download "$image" >&2
                dpkg-deb --fsys-tarfile "$image"_*.deb | tar -x --strip-components=2 --wildcards './boot/vmlinuz-*'
                mv vmlinuz-* vmlinuz
                rm -f "$image"_*.deb
            fi
            ;;
    esac
done
