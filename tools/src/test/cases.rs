//! A case: something to run on Linux and in the machine, with the same outcome.

use anyhow::{Result, bail};
use std::fmt::Write;

/// A file that is run as one case. The name ends in `.sh` if it is a script.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Its path below the test directory, in the image and in the native run.
    pub(super) name: String,
    /// What the file contains.
    pub(super) image: Vec<u8>,
}

/// What a case did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Its standard output.
    pub(super) output: Vec<u8>,
    /// Its standard error: shown, never compared.
    pub(super) error: Vec<u8>,
    /// Its exit status as a shell has it (128 + n for signal n).
    pub(super) status: u8,
}

/// How many lines of a difference are shown.
const SHOWN: usize = 12;

/// Compares what a case did in the machine with what it did on Linux.
pub(super) fn compare(linux: &Outcome, here: &Outcome) -> Result<()> {
    if linux.status == here.status && linux.output == here.output {
        return Ok(());
    }
    let mut text = format!("status {} (on Linux {})\n", here.status, linux.status);
    let expected = String::from_utf8_lossy(&linux.output);
    let got = String::from_utf8_lossy(&here.output);
    let (expected, got): (Vec<_>, Vec<_>) = (expected.lines().collect(), got.lines().collect());
    let same = expected.iter().zip(&got).take_while(|(a, b)| a == b).count();
    if same == expected.len() && same == got.len() {
        text.push_str("the output is the same\n");
    } else {
        let _ = writeln!(text, "the output differs after {same} lines");
        for (sign, lines) in [("linux", &expected), ("jinux", &got)] {
            for line in lines.iter().skip(same).take(SHOWN) {
                let _ = writeln!(text, "  {sign}: {line}");
            }
        }
    }
    for line in String::from_utf8_lossy(&here.error).lines().take(SHOWN) {
        let _ = writeln!(text, "  stderr: {line}");
    }
    bail!("{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::{Outcome, compare};

    fn outcome(output: &str, status: u8) -> Outcome {
        Outcome { output: output.into(), error: vec![], status }
    }

    #[test]
    fn output_and_status_must_be_equal_and_stderr_need_not() {
        let linux = outcome("a\nb\n", 0);
        assert!(compare(&linux, &Outcome { error: b"note".into(), ..linux.clone() }).is_ok());
        assert!(compare(&linux, &outcome("a\nb\n", 1)).is_err());
        let error = compare(&linux, &outcome("a\nc\n", 0)).expect_err("differs").to_string();
        assert!(error.contains("after 1 lines"), "{error}");
        assert!(error.contains("linux: b") && error.contains("jinux: c"), "{error}");
        assert!(compare(&linux, &outcome("a\nb", 0)).is_err(), "the last newline counts");
    }
}
