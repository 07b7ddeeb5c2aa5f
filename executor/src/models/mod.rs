//! Loom models: every interleaving of a few threads, under the memory model of Rust.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p executor --lib` runs them. Each fence, order and second look
//! they are about can be taken out with `--cfg jinux_mutant="NAME"`; `tests/mutants.sh` does that
//! for each and expects a model to fail.

#[cfg(test)]
mod door;
#[cfg(test)]
mod lock;
pub(crate) mod scheduler;
#[cfg(test)]
mod waiting;
