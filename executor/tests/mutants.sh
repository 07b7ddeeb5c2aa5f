#!/usr/bin/env bash
# Takes out each fence, order and second look of the executor in turn and expects a loom model to
# fail; first runs the models as they are. Run it from anywhere in the workspace.
set -u
cd "$(dirname "$0")/.."
export RUSTFLAGS="--cfg loom" LOOM_LOG=off

# Builds the models, with the mutant $1 if it is not empty, and prints the path of the program.
build() {
    local flags=()
    [ -z "$1" ] || flags=(--cfg "jinux_mutant=\"$1\"")
    cargo rustc -q -p executor --lib --profile test --message-format=json -- "${flags[@]}" |
        grep -o '"executable":"[^"]*"' | tail -1 | cut -d'"' -f4
}

program=$(build "")
[ -x "$program" ] || { echo "the models do not build"; exit 1; }
timeout 300 "$program" -q models:: || { echo "the models fail as they are"; exit 1; }

survivors=0
for mutant in $(grep -rhoE 'jinux_mutant = "[a-z_]+"' src | cut -d'"' -f2 | sort -u); do
    program=$(build "$mutant")
    [ -x "$program" ] || { echo "$mutant: does not build"; exit 1; }
    if RUST_BACKTRACE=0 timeout 120 "$program" -q models:: >/dev/null 2>&1; then
        echo "$mutant: SURVIVED"
        survivors=$((survivors + 1))
    else
        echo "$mutant: killed"
    fi
done
exit "$survivors"
