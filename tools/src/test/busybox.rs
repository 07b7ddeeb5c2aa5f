//! The table of busybox commands in `kernel/tests/busybox`.
//!
//! Each file `*.cases` holds shell scripts under headings `## NAME`. A script starts in a directory
//! with the files of `kernel/tests/busybox/files`, here and in the machine, with the same busybox.

use anyhow::{Context, Result, bail};
use std::{fs, path::Path};

use super::{Options, cases::Case, comparison::Comparison};
use crate::paths;

/// Reads the table.
pub(super) fn prepare(options: &Options, work: &Path) -> Result<Comparison> {
    let directory = paths::source().join("kernel/tests/busybox");
    let mut cases = vec![];
    for (file, text) in read_all(&directory)? {
        if let Some(suite) = file.strip_suffix(".cases") {
            let text = String::from_utf8(text).with_context(|| format!("{file} is no text"))?;
            cases.extend(parse(suite, &text)?);
        }
    }
    cases.retain(|case| options.selects(&case.name.replace('/', "::")));
    let files = read_all(&directory.join("files"))?;
    Comparison::new("busybox", cases, files, work)
}

/// The regular files of a directory, by name.
fn read_all(directory: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = vec![];
    for entry in
        fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))?
    {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}

/// Splits a file of cases at its headings.
fn parse(suite: &str, text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = vec![];
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            cases.push(Case { name: format!("busybox/{suite}/{}.sh", name.trim()), image: vec![] });
        } else if let Some(case) = cases.last_mut() {
            case.image.extend_from_slice(line.as_bytes());
            case.image.push(b'\n');
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            bail!("{suite}.cases: {line:?} is under no heading");
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn headings_begin_cases() {
        let cases =
            parse("text", "# comment\n\n## one\necho 1\n\n## two\necho 2\n").expect("valid");
        let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["busybox/text/one.sh", "busybox/text/two.sh"]);
        assert_eq!(cases[0].image, b"echo 1\n\n");
        assert!(parse("text", "echo lost\n").is_err());
    }
}
