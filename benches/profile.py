"""Where the time of a MuJoCo grid goes: the simulator, acting, learning and the rest, from samples of all threads.

    python benches/profile.py [--ceteris target/release/ceteris] [--presets NAME ...] [--replicates 16] [--iterations 8]

Runs `ceteris run` under Linux `perf` once for each preset. README.md says what is counted where.
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ITERATION = 2048  # steps an agent, in the presets for MuJoCo
STUDY = """\
[study]
kind = "policy-gradient"
name = "profile"
seed = 1
replicates = {replicates}

[base]
preset = "{preset}"
total_steps = {steps}
evaluation_episodes = 0
"""
MUJOCO, FORWARD, ROLLOUT, LEARNER, REST = PARTS = (
    "MuJoCo: mj_step and what it calls", "rollout: policy network", "rollout: the rest", "learner", "the rest")
# Bytes of the stack kept with each sample. The outermost frames of deep stacks are lost, those that tell are not.
STACK = 32768


def part(stack):
    """Where a sample counts; `stack` is symbols and objects, innermost first."""
    if any(file.startswith("libmujoco") for _, file in stack):
        return MUJOCO
    symbols = [symbol for symbol, _ in stack]
    has = lambda pattern: any(re.search(pattern, symbol) for symbol in symbols)
    if has(r"policy_gradient::rollout::"):
        return FORWARD if has(r"algorithms::(network|math)::") else ROLLOUT
    return LEARNER if has(r"policy_gradient::(update|learner|autodiff|trust_region)::|burn_|gemm_") else REST


def short(symbol, parts=None):
    """A symbol's path without type parameters, closures and instruction sets: all of it, or its last parts."""
    symbol, stripped = re.sub(r"::(\w+)::\1_\w+_version$", r"::\1", symbol), None
    while stripped != symbol:
        stripped, symbol = symbol, re.sub(r"<[^<>]*>", "", symbol)
    path = [name for name in symbol.split("::") if name not in ("", "{{closure}}")]
    return "::".join(path[-parts:] if parts else path)


def stacks(recording):
    """The call stacks of all samples."""
    # Names of inlined functions would need debug information, and much time.
    command = ["perf", "script", "--input", recording, "--no-inline", "--fields", "comm,ip,sym,dso"]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    for sample in text.split("\n\n"):
        frames = re.findall(r"^\s+[0-9a-f]+ (.+) \((.+)\)$", sample, re.MULTILINE)
        if frames:
            yield [(symbol, file.rsplit("/", 1)[-1]) for symbol, file in frames]


def profile(args, preset):
    """Samples of a run of the preset."""
    with tempfile.TemporaryDirectory() as folder:
        study, recording = Path(folder) / "profile.toml", Path(folder) / "perf.data"
        study.write_text(STUDY.format(replicates=args.replicates, preset=preset, steps=args.iterations * ITERATION))
        run = [args.ceteris.resolve(), "run", study, "--out", Path(folder) / "out", "--workers", str(args.workers)]
        # cpu-clock needs no hardware counters, which virtual machines often lack; stacks come from the unwind tables
        # that every binary has, since release builds keep no frame pointers.
        record = ["perf", "record", "--event", "cpu-clock", "--freq", str(args.frequency),
                  "--call-graph", f"dwarf,{STACK}", "--output", recording]
        done = subprocess.run([*record, "--", *run, "--no-report"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.exit(f"{preset}: the run failed with {done.returncode}:\n{done.stdout}")
        return list(stacks(recording))


def table(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    for index, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
        if index == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ceteris", type=Path, default=Path("target/release/ceteris"),
                        help="the release binary, built with the feature mujoco")
    parser.add_argument("--presets", nargs="+", default=["release-5ee6ecb/hopper/ppo", "release-5ee6ecb/hopper/trpo"])
    parser.add_argument("--replicates", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--frequency", type=int, default=199, help="samples a second of each busy thread")
    parser.add_argument("--symbols", type=int, default=8, help="how many functions outside MuJoCo to name")
    args = parser.parse_args()
    if not shutil.which("perf"):
        parser.error("perf is not installed (Debian: linux-perf)")

    samples = {preset: profile(args, preset) for preset in args.presets}
    parts = {preset: collections.Counter(map(part, found)) for preset, found in samples.items()}
    percent = lambda count, preset: f"{100 * count / len(samples[preset]):.1f} %"
    table([
        ["share of CPU time", *samples],
        *([name, *(percent(parts[preset][name], preset) for preset in samples)] for name in PARTS),
        ["samples", *(str(len(found)) for found in samples.values())],
    ])
    for preset, found in samples.items():
        functions = collections.defaultdict(collections.Counter)
        for stack in found:
            if part(stack) != MUJOCO:
                symbol, file = stack[0]
                ours = (short(symbol, 2) for symbol, _ in stack[1:] if "algorithms::" in symbol)
                functions["kernel" if file.startswith("[") else short(symbol)][next(ours, "")] += 1
        ranked = sorted(functions.items(), key=lambda item: -item[1].total())[:args.symbols]
        print(f"\n{preset}, functions outside MuJoCo by their own time:\n")
        table([["function", "share", "mostly called in"], *(
            [name, percent(callers.total(), preset), callers.most_common(1)[0][0]] for name, callers in ranked)])


if __name__ == "__main__":
    main()
