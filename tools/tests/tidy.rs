//! Rules about the source tree that the compiler does not know.
//!
//! Each test lists every violation with its place. What the tree contains is asked of git, so files
//! that are built or not yet added do not count.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};

/// Crates and the ones of this workspace that each may use; nothing beside or above.
const MAY_USE: &[(&str, &[&str])] = &[
    ("framework", &[]),
    ("contract", &["framework"]),
    ("faults", &["framework", "executor", "kernel"]),
    ("executor", &["framework"]),
    ("abi", &["framework"]),
    ("io", &["framework", "executor", "abi"]),
    ("fs", &["framework", "executor", "abi", "io"]),
    ("net", &["framework", "executor", "abi", "io"]),
    ("kernel", &["framework", "executor", "abi", "io", "fs", "net"]),
    ("jinux-image", &["framework", "kernel"]),
    ("kernel-tests", &["tools"]),
    ("tools", &["framework", "executor", "abi", "io", "fs", "net", "kernel"]),
    ("bench", &["tools"]),
];

/// A file is one idea; the few that are longer say why here.
const LONGEST: usize = 500;
const LONG_FILES: &[&str] = &[
    // One trait and what its methods mean; its length is documentation.
    "fs/src/vfs/inode.rs",
    "fs/src/vfs/file.rs",
];

/// A file's path from the root of the tree, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines that are code, with their numbers: comments and what follows `//` are left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines()).map(|(number, line)| {
            (number, line.split_once("//").map_or(line, |(code, _comment)| code))
        })
    }
}

fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}

/// The paths git tracks, from the root of the tree.
fn tracked() -> BTreeSet<String> {
    let output = Command::new("git")
        // A checkout that belongs to another user is still only read.
        .args(["-c", "safe.directory=*", "ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files of the tree");
    assert!(output.status.success(), "git ls-files failed");
    let list = String::from_utf8(output.stdout).expect("paths are UTF-8");
    list.split_terminator('\0').map(str::to_owned).collect()
}

/// Every text file of the tree.
fn sources() -> Vec<Source> {
    tracked()
        .into_iter()
        .filter_map(|path| {
            let text = fs::read_to_string(root().join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect()
}

#[track_caller]
fn none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n{}", violations.join("\n"));
}

/// Whether `word` stands in `line` by itself.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[test]
fn unsafe_is_in_framework_only() {
    let mut found = vec![];
    for source in sources().iter().filter(|source| source.is_rust()) {
        if source.path.starts_with("framework/") || source.path.starts_with("bench/user/") {
            continue;
        }
        for (number, line) in source.code() {
            // A lint's name, a string and this very test mention the word.
            let quoted = line.contains("unsafe_code") || line.contains('"');
            if has_word(line, "unsafe") && !quoted {
                found.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    none("only framework has unsafe code", &found);
}

#[test]
fn crate_roots_forbid_unsafe_code() {
    let mut missing = vec![];
    for source in sources() {
        let root = ["/src/lib.rs", "/src/main.rs"].iter().any(|end| source.path.ends_with(end));
        // `entry!` expands to an exported symbol, which the image alone may contain.
        let image = source.path == "kernel/image/src/main.rs";
        let wanted = if image { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
        if root && !source.path.starts_with("framework/") && !source.text.contains(wanted) {
            missing.push(format!("{}: {wanted}", source.path));
        }
    }
    none("a crate root lacks its lint", &missing);
}

/// The names under `[dependencies]` (and the like) of a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut names = vec![];
    for line in manifest.lines() {
        if let Some(table) = line.strip_prefix('[') {
            inside = table.trim_end_matches(']').ends_with("dependencies");
        } else if inside && let Some((name, _)) = line.split_once(['.', '=', ' ']) {
            names.push(name.trim());
        }
    }
    names
}

#[test]
fn crates_use_only_what_is_below_them() {
    let may_use: BTreeMap<_, _> = MAY_USE.iter().copied().collect();
    let mut wrong = vec![];
    for source in sources() {
        let Some(directory) = source.path.strip_suffix("/Cargo.toml") else { continue };
        let name = source.text.lines().find_map(|line| line.strip_prefix("name = "));
        let name = name.expect("a manifest names its package").trim_matches('"');
        let Some(below) = may_use.get(name) else {
            wrong.push(format!("{directory}: the crate {name} has no place in this test's table"));
            continue;
        };
        for dependency in dependencies(&source.text) {
            if may_use.contains_key(dependency) && !below.contains(&dependency) {
                wrong.push(format!("{directory}: {name} uses {dependency}"));
            }
        }
    }
    none("a crate uses one that is beside or above it", &wrong);
}

#[test]
fn every_module_says_what_it_is() {
    let missing: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.is_rust() && !source.text.trim_start().starts_with("//!"))
        // The tests of a module are documented by its own page.
        .filter(|source| !source.path.ends_with("/tests.rs"))
        .map(|source| source.path)
        .collect();
    none("a file does not begin with `//!`", &missing);
}

#[test]
fn uses_name_what_they_import() {
    let mut globs = vec![];
    for source in sources().iter().filter(|source| source.is_rust()) {
        for (number, line) in source.code() {
            let line = line.trim();
            // A test module is inside the module that it takes everything of.
            if line.contains("use ") && line.ends_with("::*;") && line != "use super::*;" {
                globs.push(format!("{}:{number}: {line}", source.path));
            }
        }
    }
    none("a glob import", &globs);
}

#[test]
fn files_are_short() {
    let mut long = vec![];
    for source in sources().iter().filter(|source| source.is_rust()) {
        let allowed = LONG_FILES.contains(&source.path.as_str());
        // A module's tests at its end are not counted.
        let lines = source.text.lines().take_while(|line| *line != "mod tests {").count();
        if lines > LONGEST && !allowed && !source.path.ends_with("/tests.rs") {
            long.push(format!("{}: {lines} lines", source.path));
        }
    }
    none(&format!("a file over {LONGEST} lines; split it by its ideas"), &long);
    let tracked = tracked();
    let gone: Vec<_> = LONG_FILES.iter().filter(|path| !tracked.contains(**path)).collect();
    assert!(gone.is_empty(), "exceptions for files that are gone: {gone:?}");
}

/// The words in backquotes that can be paths of the tree.
fn quoted_paths(text: &str) -> impl Iterator<Item = &str> {
    let is_path = |word: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        word.contains('/') && !word.starts_with(['/', '.', '-']) && word.chars().all(plain)
    };
    text.split('`').skip(1).step_by(2).filter(is_path)
}

/// The paths of a drawn tree: a block of text whose lines begin with `name/`, indented ones below
/// the last that is not.
fn drawn_paths(text: &str) -> Vec<String> {
    let mut paths = vec![];
    let mut above = "";
    for block in text.split("```").skip(1).step_by(2) {
        for line in block.lines() {
            let Some(name) = line.split_whitespace().next().filter(|word| word.ends_with('/'))
            else {
                continue;
            };
            if line.starts_with(' ') {
                paths.push(format!("{above}{name}"));
            } else {
                above = name;
                paths.push(name.to_owned());
            }
        }
    }
    paths
}

#[test]
fn the_first_page_names_the_two_commands() {
    let text = fs::read_to_string(root().join("README.md")).expect("there is a README.md");
    assert!(text.contains("make run") && text.contains("make test"));
}

#[test]
fn paths_in_the_documentation_exist() {
    let tracked = tracked();
    let mut gone = vec![];
    for source in sources() {
        let page = source.path == "README.md" || source.path.starts_with("docs/");
        if !page || !source.path.ends_with(".md") {
            continue;
        }
        for path in quoted_paths(&source.text) {
            let directory = format!("{}/", path.trim_end_matches('/'));
            let exists = tracked.contains(path)
                || tracked.iter().any(|file| file.starts_with(&directory))
                // What a build leaves is named by where it will be.
                || path.starts_with("target/");
            if !exists {
                gone.push(format!("{}: `{path}`", source.path));
            }
        }
        for link in source.text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            let mut from = root().join(&source.path);
            from.pop();
            if !target.is_empty() && !target.contains("://") && !from.join(target).exists() {
                gone.push(format!("{}: link to {target}", source.path));
            }
        }
        for path in drawn_paths(&source.text) {
            if !root().join(&path).exists() {
                gone.push(format!("{}: {path} in the tree", source.path));
            }
        }
    }
    none("the documentation names what is not there", &gone);
}

#[test]
fn nothing_depends_on_one_machine() {
    // In pieces, so that this file does not contain them.
    let paths = [["/wo", "rk/"].concat(), ["/root/.", "cargo"].concat(), ["/ho", "me/"].concat()];
    let mut found = vec![];
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            if let Some(path) = paths.iter().find(|path| line.contains(path.as_str())) {
                found.push(format!("{}:{number}: {path}", source.path));
            }
        }
    }
    none("a path of the machine it was written on", &found);
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["FIXME", "XXX:", "HACK:"];
    let mut found = vec![];
    for source in sources().iter().filter(|source| source.path != "tools/tests/tidy.rs") {
        for (number, line) in (1..).zip(source.text.lines()) {
            let lower = line.to_lowercase();
            for word in words.iter().filter(|word| has_word(&lower, &word.to_lowercase())) {
                found.push(format!("{}:{number}: {word:?}", source.path));
            }
        }
    }
    none("a mark of unfinished work", &found);
}

#[test]
fn there_are_no_pieces_left_to_write() {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    let mut found = vec![];
    for source in sources().iter().filter(|source| source.is_rust()) {
        for (number, line) in source.code() {
            let quoted = line.contains('"');
            if let Some(name) = macros.iter().find(|name| line.contains(**name) && !quoted) {
                found.push(format!("{}:{number}: {name}", source.path));
            }
        }
    }
    none("unfinished code", &found);
}
