//! Runs the programs on the library OS. This file's program is both the one that tests and, called
//! with `run`, the `jinux run` that each case is started with.
#![forbid(unsafe_code)]

use clap::Parser;
use std::{env, process::ExitCode};
use tools::{run, test};

/// What a case is started with.
#[derive(Parser)]
enum Arguments {
    /// Runs a case.
    Run(run::Options),
}

fn main() -> ExitCode {
    let is_case = env::args_os().nth(1).is_some_and(|word| word == "run");
    let status = if is_case {
        let Arguments::Run(options) = Arguments::parse();
        run::run(&options)
    } else {
        tests()
    };
    match status {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("jinux: {error:#}");
            ExitCode::from(run::OWN_ERROR)
        }
    }
}

/// Runs all cases, or those whose name contains the first word; the results are written as those of
/// other tests are.
fn tests() -> tools::Result<u8> {
    // Options are the usual harness's.
    let filter = env::args().skip(1).find(|word| !word.starts_with('-'));
    let (passed, failed) = test::on_library_os(&env::current_exe()?, filter)?;
    for name in &failed {
        println!("test {name} ... FAILED");
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {passed} passed; {} failed", failed.len());
    Ok(u8::from(!failed.is_empty()))
}
