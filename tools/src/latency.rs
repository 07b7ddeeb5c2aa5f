//! Latency in guest instructions: the program `bench/user/latency.c` in QEMU's counting mode.
//!
//! With `-icount shift=3` the guest's clock is its instructions times 8 ns, so what the program
//! measures repeats from run to run whatever the host does. The string instructions that QEMU
//! executes byte by byte are not announced (`-erms,-fsrm`), or Linux would use them and look slow.

mod boot;

use crate::{
    initramfs::Initramfs,
    machine::{self, Console, Kind, Machine},
    paths,
};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Nanoseconds of guest time an instruction takes.
const NS_PER_INSTRUCTION: f64 = 8.0;
/// Written before each line of the program's output.
const MARK: &str = "latency: ";

/// Runs the program in a machine with `kernel`; returns instructions by row.
///
/// # Errors
/// The program cannot be built, or the machine ends before the program does.
pub fn measure(kernel: &Path, rows: &[String]) -> Result<BTreeMap<String, f64>> {
    let work = paths::target().join("latency");
    fs::create_dir_all(&work).with_context(|| format!("making {}", work.display()))?;
    let initrd = work.join("initramfs.cpio");
    let mut image = Initramfs::with_busybox(None)?;
    image.file("bin/latency", 0o755, fs::read(build("latency", &work)?)?);
    image.program("bin/measure", &script(rows));
    fs::write(&initrd, image.to_bytes()?)?;
    let mut found = BTreeMap::new();
    if rows.is_empty() || rows.iter().any(|row| row.starts_with("boot")) {
        boot::measure(kernel, &work, &mut found)?;
        if !rows.is_empty() && rows.iter().all(|row| row.starts_with("boot")) {
            return Ok(found);
        }
    }
    let machine =
        counting(kernel, Some(&initrd), "console=ttyS0 quiet nokaslr rdinit=/bin/measure");
    let mut command = machine.command(Console::Program)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = machine::start(command)?;
    let output = child.stdout.take().context("QEMU has no output")?;
    let mut tail = vec![];
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim().to_owned();
        if let Some((row, ns)) = line.strip_prefix(MARK).and_then(|rest| rest.split_once(' ')) {
            let ns: f64 = ns.parse().with_context(|| format!("{ns:?} is no number"))?;
            found.insert(row.to_owned(), ns / NS_PER_INSTRUCTION);
        }
        tail.push(line);
    }
    child.wait()?;
    if found.is_empty() {
        let start = tail.len().saturating_sub(20);
        bail!(
            "{} measured nothing; its last lines:\n{}",
            kernel.display(),
            tail[start..].join("\n")
        );
    }
    Ok(found)
}

/// The machine that counts instructions.
fn counting(kernel: &Path, initrd: Option<&Path>, append: &str) -> Machine {
    Machine {
        kernel: kernel.to_owned(),
        initrd: initrd.map(Path::to_owned),
        disks: vec![],
        append: append.into(),
        kind: Kind::Q35,
        smp: 1,
        memory: "512M".into(),
        extra: ["-icount", "shift=3,sleep=off", "-cpu", "max,-erms,-fsrm"].map(String::from).into(),
    }
}

/// Builds a program of `bench/user`.
fn build(name: &str, work: &Path) -> Result<PathBuf> {
    let source = paths::source().join(format!("bench/user/{name}.c"));
    let binary = work.join(name);
    let status = Command::new("musl-gcc")
        .args(["-O2", "-static", "-o"])
        .args([&binary, &source])
        .status()
        .context("cannot run musl-gcc; `make setup` installs it (musl-tools)")?;
    if status.success() { Ok(binary) } else { bail!("{} does not compile", source.display()) }
}

/// Init's script: the devices and files the program needs, the program, the end.
fn script(rows: &[String]) -> String {
    format!(
        "#!/bin/sh\nmount -t devtmpfs dev /dev 2>/dev/null\nmount -t tmpfs tmp /tmp\n\
         /bin/latency {} | while read line; do echo \"{MARK}$line\"; done\npoweroff -f\n",
        rows.join(" ")
    )
}

/// A table of `measured` beside `reference`, row by row.
pub fn table(
    measured: &BTreeMap<String, f64>,
    reference: Option<&BTreeMap<String, f64>>,
) -> String {
    let mut text = String::from("row            instructions");
    text.push_str(if reference.is_some() { "     reference   ratio\n" } else { "\n" });
    for (row, count) in measured {
        text.push_str(&format!("{row:12} {count:>14.0}"));
        if let Some(other) = reference.and_then(|reference| reference.get(row)) {
            text.push_str(&format!(" {other:>13.0} {:>7.2}", count / other));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::table;
    use std::collections::BTreeMap;

    #[test]
    fn a_table_has_a_ratio_for_rows_of_both() {
        let one = BTreeMap::from([("null".to_owned(), 100.0), ("read".to_owned(), 300.0)]);
        let other = BTreeMap::from([("null".to_owned(), 200.0)]);
        let text = table(&one, Some(&other));
        assert!(text.contains("100") && text.contains("0.50"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }
}
