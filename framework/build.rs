//! Builds the vDSO, a small shared library for programs, with the compiler that builds the kernel.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let source = Path::new("vdso/vdso.rs");
    let script = Path::new("vdso/vdso.lds");
    for input in [source, script, Path::new("build.rs")] {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    let object = out.join("vdso.o");
    let image = out.join("vdso.so");
    // The host's target is the one that is always there with its `core`, and it is the one
    // programs are built for: x86-64 Linux.
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    run(Command::new(rustc)
        .args(["--edition=2024", "--crate-type=lib", "--crate-name=vdso", "--emit=obj"])
        .args(["-Copt-level=2", "-Cpanic=abort", "-Crelocation-model=pic", "-Coverflow-checks=off"])
        .args(["-Cdebuginfo=0", "-Ccodegen-units=1", "-Cembed-bitcode=no"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .arg("-o")
        .arg(&object)
        .arg(source));
    let mut linker_script = std::ffi::OsString::from("-Wl,-T,");
    linker_script.push(script);
    run(Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args(["-shared", "-nostdlib", "-Wl,-soname=linux-vdso.so.1", "-Wl,--hash-style=both"])
        .args(["-Wl,--build-id=none", "-Wl,-zmax-page-size=4096", "-Wl,-Bsymbolic", "-Wl,-s"])
        .arg(linker_script)
        .arg("-o")
        .arg(&image)
        .arg(&object));
    let size = fs::metadata(&image).expect("just linked").len();
    assert!(size <= 8192, "the vDSO is {size} bytes long: it should fit two pages");
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
