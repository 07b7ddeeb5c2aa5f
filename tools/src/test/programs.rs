//! The test programs of `kernel/tests/programs`: one static binary each, run here and in the
//! machine.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use super::{Options, cases::Case, comparison::Comparison, report::Report};
use crate::paths;

/// Warnings are errors; the kernel's own headers come last, for what musl has none of.
const FLAGS: &[&str] = &[
    "-static",
    "-std=gnu11",
    "-O1",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-idirafter",
    "/usr/include",
    "-idirafter",
    "/usr/include/x86_64-linux-gnu",
];

/// Builds the programs.
pub(super) fn prepare(options: &Options, work: &Path, report: &Report) -> Result<Comparison> {
    let mut built = vec![];
    for source in sources()? {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !options.selects(&format!("programs::{name}")) {
            continue;
        }
        report.doing(format!("compiling {name}"));
        match compile(&source, &work.join("programs-bin").join(&name)) {
            Ok(image) => built.push(Case { name: format!("programs/{name}"), image }),
            Err(error) => {
                report.case(&format!("programs::{name}"), || Err(error));
            }
        }
    }
    Comparison::new("programs", built, vec![], work)
}

fn sources() -> Result<Vec<PathBuf>> {
    let directory = paths::source().join("kernel/tests/programs");
    let mut sources = fs::read_dir(&directory)
        .with_context(|| format!("reading {}", directory.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    sources.sort();
    Ok(sources)
}

/// Compiles one program if its binary is older than its source or a header; returns the binary.
pub(super) fn compile(source: &Path, binary: &Path) -> Result<Vec<u8>> {
    let directory = source.parent().context("a source file is in a directory")?;
    let mut newest = modified(source)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "h") {
            newest = newest.max(modified(&path)?);
        }
    }
    if !modified(binary).is_ok_and(|built| built > newest) {
        if let Some(parent) = binary.parent() {
            fs::create_dir_all(parent)?;
        }
        let output = Command::new("musl-gcc")
            .args(FLAGS)
            .arg("-o")
            .args([binary, source])
            .output()
            .context("cannot run musl-gcc; `make setup` installs it (musl-tools)")?;
        if !output.status.success() {
            bail!("it does not compile:\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    fs::read(binary).with_context(|| format!("reading {}", binary.display()))
}

fn modified(path: &Path) -> Result<SystemTime> {
    Ok(fs::metadata(path)?.modified()?)
}
