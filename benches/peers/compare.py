"""Times whole training processes: CleanRL's way, PureJaxRL's way, and `ceteris run`, alternating, on this machine.

    python compare.py [--task cartpole|hopper] [--ceteris ../../target/release/ceteris] [--repetitions 3]

Every process is timed from outside (wall clock and CPU seconds of the process and its children). What counts as
start-up is in README.md. Medians over the repetitions, with the range of the wall-clock rate behind them.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
STUDY = """\
[study]
kind = "policy-gradient"
name = "peers"
seed = 1
replicates = {agents}

[base]
preset = "{preset}"
environment = "{environment}"
total_steps = {steps}
evaluation_episodes = 0
"""


@dataclass(frozen=True)
class Task:
    """`iteration` is its environment steps; `agents` and `total_steps` (of each agent) are defaults."""

    preset: str
    environment: str
    iteration: int
    agents: tuple[int, ...]
    total_steps: int
    purejaxrl: bool


TASKS = {
    "cartpole": Task("cleanrl/ppo", "CartPole-v1", 4 * 128, (1, 16, 80), 50_000, purejaxrl=True),
    # MuJoCo's own engine does not run in JAX.
    "hopper": Task("cleanrl/ppo-continuous", "Hopper-v4", 2048, (1, 16), 20 * 2048, purejaxrl=False),
}


def timed(command, limit):
    """Wall and CPU seconds of a process and its last line of output."""
    with tempfile.TemporaryFile("w+") as output:
        began = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=subprocess.STDOUT)
        while True:
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
            if done:
                break
            if time.perf_counter() - began > limit:
                process.kill()
                os.wait4(process.pid, 0)
                process.returncode = -9
                return None
            time.sleep(0.005)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode != 0:
        sys.exit(f"{command} failed with {process.returncode}:\n{text}")
    return {"wall_s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "last_line": (text.splitlines() or [""])[-1]}


def python_peer(script, *arguments):
    """A measurement by one of the scripts, whose start-up is what is not training."""

    def measure(steps, limit):
        run = timed([sys.executable, HERE / script, "--total-steps", steps, *arguments], limit)
        return run and run | json.loads(run.pop("last_line"))

    return measure


def ceteris(binary, task, agents, workers):
    """A measurement of `ceteris run`, whose start-up is a run of one iteration, less that iteration's share."""

    def once(steps, limit):
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / "peers.toml"
            settings = {"preset": task.preset, "environment": task.environment, "agents": agents, "steps": steps}
            study.write_text(STUDY.format(**settings))
            return timed([binary, "run", study, "--out", Path(folder) / "out", "--workers", workers], limit)

    def measure(steps, limit):
        short, run = once(task.iteration, limit), once(steps, limit)
        if not (short and run):
            return None
        iterations = steps // task.iteration
        scale = iterations / (iterations - 1)
        return run | {
            "agents": agents, "agent_steps": iterations * task.iteration * agents,
            "train_s": (run["wall_s"] - short["wall_s"]) * scale,
            "train_cpu_s": (run["cpu_s"] - short["cpu_s"]) * scale,
        }

    return measure


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for index, row in enumerate(rows):
        print("| " + " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                                for i, (cell, w) in enumerate(zip(row, widths))) + " |")
        if index == 0:
            print("|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":") for i, w in enumerate(widths)) + "|")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=TASKS, default="cartpole")
    parser.add_argument("--ceteris", type=Path, help="the release binary; without it only the peers are timed")
    parser.add_argument("--workers", type=int, default=2, help="of ceteris")
    parser.add_argument("--agents", type=int, nargs="+", help="by default the task's")
    parser.add_argument("--total-steps", type=int, help="of each agent; by default the task's")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--limit", type=float, default=900, help="seconds after which a process is ended and left out")
    parser.add_argument("--out", type=Path, help="also write all measurements here, as JSON")
    args = parser.parse_args()
    task = TASKS[args.task]
    args.agents = args.agents or task.agents
    args.total_steps = args.total_steps or task.total_steps
    if args.total_steps < 2 * task.iteration:
        parser.error(f"--total-steps: at least {2 * task.iteration}")

    peers = {f"CleanRL, {threads} thread{'s' * (threads > 1)}":
             python_peer("cleanrl_ppo.py", "--task", args.task, "--threads", threads) for threads in (1, 2)}
    for agents in args.agents:
        if task.purejaxrl:
            peers[f"PureJaxRL, {agents}"] = python_peer("purejaxrl_ppo.py", "--learner", "--agents", agents)
        if args.ceteris:
            peers[f"ceteris, {agents}"] = ceteris(args.ceteris.resolve(), task, agents, args.workers)

    runs, load = {name: [] for name in peers}, [os.getloadavg()[0]]
    for repetition in range(args.repetitions):
        for name, measure in peers.items():
            run = measure(args.total_steps, args.limit)
            if run is None:
                print(f"# {repetition + 1}/{args.repetitions} {name}: over {args.limit:.0f} s, left out", file=sys.stderr)
                continue
            if "learner_s_per_minibatch" in run and name.startswith("PureJaxRL"):
                # The learner's own timing comes after training, in the same process.
                run["wall_s"] = run["start_up_s"] + run["compile_s"] + run["train_s"]
            runs[name].append(run)
            load.append(os.getloadavg()[0])
            print(f"# {repetition + 1}/{args.repetitions} {name}: {run['wall_s']:.1f} s, training {run['train_s']:.2f} s",
                  file=sys.stderr)

    rates, per_cpu = {}, {}
    for name, measured in runs.items():
        if measured:
            whole = sorted(run["agent_steps"] / run["wall_s"] for run in measured)
            train = sorted(run["agent_steps"] / run["train_s"] for run in measured)
            rates[name] = (statistics.median(whole), statistics.median(train), train[0], train[-1])
            per_cpu[name] = statistics.median(run["agent_steps"] / run["train_cpu_s"] for run in measured)
    baselines = [rate for name, rate in rates.items() if name.startswith("CleanRL")]
    best = [max((rate[i] for rate in baselines), default=float("nan")) for i in range(2)]
    best_cpu = max((rate for name, rate in per_cpu.items() if name.startswith("CleanRL")), default=float("nan"))

    rows = [["", "agent-steps/s", "without start-up", "(range)", "x CleanRL", "without start-up",
             "per CPU-second", "x CleanRL", "wall s", "learner us", "final return"]]
    for name, (whole, train, low, high) in rates.items():
        middle = lambda key: statistics.median(run[key] for run in runs[name])
        has = lambda key: key in runs[name][0]
        rows.append([
            name, f"{whole:,.0f}", f"{train:,.0f}", f"{low:,.0f} to {high:,.0f}", f"{whole / best[0]:.1f}",
            f"{train / best[1]:.1f}", f"{per_cpu[name]:,.0f}", f"{per_cpu[name] / best_cpu:.1f}",
            f"{middle('wall_s'):.1f}",
            f"{middle('learner_s_per_minibatch') * 1e6:,.0f}" if has("learner_s_per_minibatch") else "",
            f"{middle('final_return'):.0f}" if has("final_return") else "",
        ])
    print(f"{os.cpu_count()} cores, load average {min(load):.1f} to {max(load):.1f} "
          f"(1 to {args.workers} of it is this comparison), {task.environment}, {args.total_steps} steps an agent, "
          f"{args.repetitions} repetitions\n")
    table(rows)
    if args.out:
        args.out.write_text(json.dumps({"arguments": {k: str(v) for k, v in vars(args).items()},
                                        "load_average": load, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
