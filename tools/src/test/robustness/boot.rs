//! What the boot loader hands over: initial RAM disks, command lines, the size of memory.

use anyhow::{Context, Result, bail};
use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::{Case, End};
use crate::initramfs::{self, Initramfs};

/// An init that says that it is there, with its arguments, and switches off.
const ALIVE: &str = "#!/bin/sh\necho alive: $* $WORD\npoweroff -f\n";

fn stops(line: &str) -> End {
    End::Stops(line.into())
}

fn alive(with: &str) -> End {
    End::Says(format!("alive: {with}").trim_end().into())
}

/// A root file system whose init is [`ALIVE`].
fn image() -> Result<Initramfs> {
    let mut image = Initramfs::with_busybox(None)?;
    image.program("init", ALIVE);
    image.program("bin/fails", "#!/bin/sh\nexit 7\n");
    image.program("bin/kills-itself", "#!/bin/sh\nkill -SEGV $$\nkill -9 $$\nexit 8\n");
    image.program("bin/endless", "#!/bin/endless\n");
    image.program("bin/no-interpreter", "#!/bin/nothing\n");
    image.program("bin/empty", "");
    image.program("bin/noise", &"\u{1}\u{2}noise".repeat(100));
    image.file("bin/not-executable", 0o644, ALIVE.into());
    Ok(image)
}

/// All cases of this page.
pub(super) fn cases() -> Result<Vec<Case>> {
    let plain = image()?.to_bytes()?;
    let mut cases = images(&plain)?;
    cases.extend(programs(&plain));
    cases.extend(command_lines(&plain));
    cases.extend(memory(&plain));
    Ok(cases)
}

/// Images that are cut or corrupt.
fn images(plain: &[u8]) -> Result<Vec<Case>> {
    let gzip = compress(plain)?;
    let case =
        |name: &str, image: Vec<u8>, end| Case::new(&format!("image/{name}"), Some(image), end);
    let changed = |image: &[u8], at: usize, byte: u8| {
        let mut image = image.to_vec();
        image[at] = byte;
        image
    };
    let middle = gzip.len() / 2;
    Ok(vec![
        Case::new("image/none", None, stops("no init found")),
        case("whole", plain.into(), alive("")),
        case("gzip", gzip.clone(), alive("")),
        case("empty", vec![0; 4096], stops("no init found")),
        case("garbage", (0..=255).cycle().take(100_000).collect(), stops("initial RAM disk:")),
        case("cut-header", plain[..50].into(), stops("initial RAM disk:")),
        case("cut-name", plain[..112].into(), stops("initial RAM disk:")),
        case("cut-data", plain[..plain.len() / 2].into(), stops("initial RAM disk:")),
        case("cut-gzip-header", gzip[..5].into(), stops("initial RAM disk:")),
        case("cut-gzip", gzip[..middle].into(), stops("initial RAM disk:")),
        case("bad-magic", changed(plain, 5, b'9'), stops("initial RAM disk:")),
        case("bad-number", changed(plain, 10, b'x'), stops("initial RAM disk:")),
        case("bad-name-size", changed(plain, 94, b'f'), stops("initial RAM disk:")),
        case("bad-file-size", changed(plain, 54, b'f'), stops("initial RAM disk:")),
        case("bad-gzip", changed(&gzip, middle, !gzip[middle]), stops("initial RAM disk:")),
        case("bad-gzip-method", changed(&gzip, 2, 9), stops("initial RAM disk:")),
    ])
}

/// Inits that are not there, cannot run, or end.
fn programs(plain: &[u8]) -> Vec<Case> {
    let case = |name: &str, words: &str, end| {
        Case::new(&format!("init/{name}"), Some(plain.into()), end).append(words)
    };
    vec![
        case("missing", "rdinit=/bin/nothing", stops("init /bin/nothing: ENOENT")),
        case("below-a-file", "rdinit=/bin/sh/x", stops("init /bin/sh/x: ENOTDIR")),
        case("relative", "rdinit=bin/fails", End::Init(7, "init ended".into())),
        case("directory", "rdinit=/bin", stops("init /bin: EACCES")),
        case(
            "not-executable",
            "rdinit=/bin/not-executable",
            stops("init /bin/not-executable: EACCES"),
        ),
        case(
            "no-interpreter",
            "rdinit=/bin/no-interpreter",
            stops("init /bin/no-interpreter: ENOENT"),
        ),
        case("endless", "rdinit=/bin/endless", stops("init /bin/endless: ELOOP")),
        case("empty", "rdinit=/bin/empty", stops("init /bin/empty: ENOEXEC")),
        case("noise", "rdinit=/bin/noise", stops("init /bin/noise: ENOEXEC")),
        case("device", "rdinit=/dev/console", stops("init /dev/console: EACCES")),
        case("exits", "rdinit=/bin/true", End::Init(0, String::new())),
        case("fails", "rdinit=/bin/fails", End::Init(7, "init ended with status 7".into())),
        // Nobody may kill it, itself included.
        case("kills-itself", "rdinit=/bin/kills-itself", End::Init(8, "status 8".into())),
    ]
}

/// Command lines that nobody meant.
fn command_lines(plain: &[u8]) -> Vec<Case> {
    let case = |name: &str, words: &str, end| {
        Case::new(&format!("words/{name}"), Some(plain.into()), end).append(words)
    };
    let long = "x".repeat(1500);
    let many = "a=b ".repeat(400);
    vec![
        case("none", "", alive("")),
        case("unknown", "what WORD=is this -- -x", alive("what this -x is")),
        case("quotes", "WORD=\"one two\" \"three four\"", alive("three four one two")),
        case("open-quote", "WORD=\"one two", alive("one two")),
        case("long", &format!("WORD={long}"), alive(&long)),
        case("many", &many, alive("")),
        case("bad-number", "loglevel=many", End::Says("loglevel=many means nothing".into())),
        case("huge-number", "loglevel=99999999999999999999", End::Says("99 means nothing".into())),
        case("no-value", "init= rdinit= WORD= =x", alive("")),
        case("console", "console=ttyS9,999999999999q99 WORD=still", alive("still")),
        case("no-utf8", "WORD=\u{fe}\u{ff}", alive("\u{fe}\u{ff}")),
    ]
}

/// Less memory than it needs, down to where not even a word can be said.
fn memory(plain: &[u8]) -> Vec<Case> {
    let case = |size: &'static str, end| {
        Case::new(&format!("memory/{size}"), Some(plain.into()), end).memory(size)
    };
    vec![
        case("16M", alive("")),
        case("12M", alive("")),
        case("7M", stops("KiB memory are free")),
        case("6M", stops("KiB memory are free")),
    ]
}

/// The image as gzip packs it.
fn compress(image: &[u8]) -> Result<Vec<u8>> {
    let mut child = Command::new(initramfs::find_busybox()?)
        .args(["gzip", "-c"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("running gzip")?;
    let mut to = child.stdin.take().context("its input is a pipe")?;
    let image = image.to_vec();
    // Apart, or both would wait for each other when the pipes are full.
    let writer = std::thread::spawn(move || to.write_all(&image));
    let output = child.wait_with_output().context("waiting for gzip")?;
    match writer.join() {
        Ok(Ok(())) if output.status.success() => Ok(output.stdout),
        _ => bail!("gzip ended with {}", output.status),
    }
}
