"""Times intervals of aggregate scores: rliable's and ours, whole processes, alternating, on this machine.

    python compare_scores.py --ceteris ../../target/release/examples/score_intervals [--repetitions 3]

Both get the same scores and must agree: estimates to ten digits, interval ends to a twentieth of the interval's
width (they draw different resamples). Prints medians over the repetitions, their ranges, and ratios to rliable in
wall time of the whole process (start-up included), in wall time of the analysis alone, and in CPU time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def timed(command):
    """Wall and CPU seconds of a process with its children, their largest resident memory, and what it printed."""
    began = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.stdout.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command} failed with {process.returncode}")
    resources = {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}
    return resources | json.loads(output)


def disagreement(ours, theirs):
    """The largest difference of estimates, and of interval ends relative to the interval's width."""
    points = max(abs(a - b) for a, b in zip(ours["estimate"], theirs["estimate"], strict=True))
    ends = max(
        max(abs(low - their_low), abs(high - their_high)) / (their_high - their_low)
        for low, high, their_low, their_high in zip(ours["low"], ours["high"], theirs["low"], theirs["high"], strict=True)
    )
    return points, ends


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ceteris", type=Path, required=True, help="the example binary score_intervals")
    parser.add_argument("--methods", type=int, default=4)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--resamples", type=int, default=50_000)
    parser.add_argument("--cores", type=int, default=2, help="threads of ours, processes of the parallel rliable")
    parser.add_argument("--repetitions", type=int, default=3)
    args = parser.parse_args()

    size = [args.methods, args.runs, args.tasks, args.resamples]
    names = ["--methods", "--runs", "--tasks", "--resamples"]
    peer = [sys.executable, HERE / "rliable_scores.py", *(part for pair in zip(names, size) for part in pair)]
    ours = args.ceteris.resolve()
    commands = {
        "rliable": peer,
        f"rliable, {args.cores} processes": [*peer, "--processes", args.cores],
        "ceteris, 1 thread": [ours, *size, 1],
        f"ceteris, {args.cores} threads": [ours, *size, args.cores],
    }
    runs, load = {name: [] for name in commands}, []
    for repetition in range(args.repetitions):
        for name, command in commands.items():
            load.append(os.getloadavg()[0])
            runs[name].append(timed(command))
            print(f"# {repetition + 1}/{args.repetitions} {name}: {runs[name][-1]['wall_s']:.2f} s", file=sys.stderr)

    points, ends = disagreement(runs[f"ceteris, {args.cores} threads"][0], runs["rliable"][0])
    _, own = disagreement(runs[f"rliable, {args.cores} processes"][0], runs["rliable"][0])
    print(f"{os.cpu_count()} cores, load average {min(load):.1f} to {max(load):.1f} (up to {args.cores} of it is this "
          f"comparison), {args.methods} methods x {args.runs} runs x {args.tasks} tasks, {args.resamples} resamples, "
          f"{args.repetitions} repetitions")
    print(f"estimates differ by at most {points:.1e}; interval ends by at most {ends:.2%} of the interval "
          f"(rliable from itself, other seeds: {own:.2%})\n")
    print(f"| {'':22} | process s | (range)         | x rliable | analysis s | x rliable | CPU s | x rliable | MiB |")
    print(f"|{'-' * 24}|----------:|----------------:|----------:|-----------:|----------:|------:|----------:|----:|")
    middle = lambda name, key: statistics.median(run[key] for run in runs[name])
    for name, measured in runs.items():
        walls = sorted(run["wall_s"] for run in measured)
        ratio = lambda key: middle("rliable", key) / middle(name, key)
        print(f"| {name:22} | {middle(name, 'wall_s'):9.2f} | {walls[0]:6.2f} to {walls[-1]:5.2f} "
              f"| {ratio('wall_s'):9.1f} | {middle(name, 'seconds'):10.2f} | {ratio('seconds'):9.1f} "
              f"| {middle(name, 'cpu_s'):5.2f} | {ratio('cpu_s'):9.1f} | {middle(name, 'peak_mib'):3.0f} |")
    # rliable differs from itself by about 0.01 at 50,000 resamples.
    if points > 1e-10 or ends > 0.05 * (50_000 / args.resamples) ** 0.5:
        sys.exit("the two do not agree")


if __name__ == "__main__":
    main()
