#!/usr/bin/env bash
# Trains a study with GNU parallel, one job a shard, then merges the shards and reports.
#
#     deploy/gnu-parallel.sh STUDY DIR SHARDS [ARGUMENTS OF PARALLEL…]
#
# One shard at a time with every processor of the machine, unless the arguments say otherwise:
#
#     WORKERS=4 deploy/gnu-parallel.sh study.toml results 8 --jobs 2
#     deploy/gnu-parallel.sh study.toml results 8 --sshlogin 1/node1,1/node2
#
# Other machines need the study file, DIR and ceteris at the same absolute paths, as on a shared file
# system. WORKERS: threads of a shard, by default one a processor of its machine. CETERIS: the
# program, by default the one on PATH. The same command again continues after an interruption or a
# failure: shards that have ended well are skipped, the others go on from what they have stored.
set -euo pipefail

if (($# < 3)); then
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
fi
study=$(realpath -e "$1")
results=$(realpath -m "$2")
shards=$3
shift 3
ceteris=$(command -v "${CETERIS:-ceteris}") || {
    echo "gnu-parallel.sh: ceteris is not on PATH; CETERIS may name it" >&2
    exit 1
}
ceteris=$(realpath -e "$ceteris")
command -v parallel >/dev/null || {
    echo "gnu-parallel.sh: GNU parallel is not on PATH" >&2
    exit 1
}
workers=()
[[ -z ${WORKERS:-} ]] || workers=(--workers "$WORKERS")

mkdir -p "$results/shards"
# In an interruption, a shard gets a minute to finish its iteration and to write down what it has.
# The log of jobs is of one split: another number of shards is another log.
seq "$shards" | parallel --jobs 1 --quote --line-buffer --tagstring "{}/$shards" \
    --joblog "$results/shards/parallel-of-$shards.log" --resume-failed --termseq TERM,60000,KILL,25 "$@" \
    "$ceteris" run "$study" --out "$results" --shard "{}/$shards" "${workers[@]}"
"$ceteris" merge --out "$results"
"$ceteris" report "$results"
