"""Times whole evaluations by lm-evaluation-harness and by `ceteris run`, alternating, with models that cost nothing.

    python compare_evaluations.py --blimp BLiMP.zip [--ceteris ../../target/release/ceteris] [--paradigms 67]

Both read the minimal pairs of BLiMP from files here, make two requests of each pair, ask a model that draws its
answers at random (`--model dummy` there, `language_model = "uniform"` here), score, and keep prompt, answer and score
of every pair (`--log_samples` there, the tables `requests` and `instances` here). So what is timed is the evaluation's
own work. Start-up is measured beside it, with one pair.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import zipfile
from pathlib import Path

from compare import timed

TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: multiple_choice
doc_to_text: ""
doc_to_target: 0
doc_to_choice: "{{{{[sentence_good, sentence_bad]}}}}"
metric_list:
  - metric: acc
"""

STUDY = """\
[study]
kind = "lm-evaluation"
name = "throughput"
seed = 1
replicates = 1

[base]
evaluation_task = "{task}"
language_model = "uniform"
adapter = "separate"
{rest}
"""


def study(folder, name, rest, task="blimp"):
    path = folder / f"{name}.toml"
    path.write_text(STUDY.format(task=task, rest=rest))
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blimp", type=Path, required=True)
    parser.add_argument("--ceteris", type=Path, default=Path(__file__).resolve().parents[2] / "target/release/ceteris")
    parser.add_argument("--paradigms", type=int, default=67)
    parser.add_argument("--repetitions", type=int, default=3)
    arguments = parser.parse_args()
    os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ["HF_HOME"] = str(folder / "cache")
        with zipfile.ZipFile(arguments.blimp) as archive:
            files = sorted(name for name in archive.namelist() if name.startswith("data/") and name.endswith(".jsonl"))
            archive.extractall(folder, files)
        pairs = 0
        tasks = folder / "tasks"
        tasks.mkdir()
        names = []
        for file in files[: arguments.paradigms]:
            name = "pairs_" + Path(file).stem.lower()
            (tasks / f"{name}.yaml").write_text(TASK.format(name=name, file=folder / file))
            pairs += len((folder / file).read_text().splitlines())
            names.append(name)
        if arguments.paradigms != 67:
            sys.exit("ceteris evaluates one paradigm or all of them; take all")

        def harness(number, limit=()):
            return [sys.executable, "-m", "lm_eval", "--model", "dummy", "--include_path", tasks, "--tasks",
                    ",".join(names if not limit else names[:1]), "--output_path", folder / f"harness-{number}",
                    "--log_samples", "--batch_size", "64", *limit]

        def ceteris(number, rest):
            return [arguments.ceteris, "run", study(folder, f"study-{number}", rest), "--no-report", "--workers", "1",
                    "--out", folder / f"ceteris-{number}"]

        figures = {"harness": [], "harness, one pair": [], "ceteris": [], "ceteris, one paradigm": []}
        for repetition in range(arguments.repetitions):
            one = 'blimp_paradigm = "adjunct_island"'
            for name, command in [
                ("harness", harness(repetition)),
                ("ceteris", ceteris(repetition, "")),
                ("harness, one pair", harness(f"one-{repetition}", ("--limit", "1"))),
                ("ceteris, one paradigm", ceteris(f"one-{repetition}", one)),
            ]:
                figures[name].append(timed(command, 3600))
                print(name, json.dumps({k: v for k, v in figures[name][-1].items() if k != "last_line"}), flush=True)
        median = {name: statistics.median(run["wall_s"] for run in runs) for name, runs in figures.items()}
        cpu = {name: statistics.median(run["cpu_s"] for run in runs) for name, runs in figures.items()}
        requests = 2 * pairs
        print(f"{requests} requests, medians of {arguments.repetitions}")
        for name in ("harness", "ceteris"):
            print(f"{name:10} {median[name]:8.2f} s {cpu[name]:8.2f} CPU s {requests / median[name]:10.0f} requests/s")
        print(f"ratio of whole processes {median['harness'] / median['ceteris']:.1f}, of CPU seconds "
              f"{cpu['harness'] / cpu['ceteris']:.1f}")
        without = median["harness"] - median["harness, one pair"]
        print(f"without lm-evaluation-harness's start-up ({median['harness, one pair']:.2f} s): "
              f"{requests / without:.0f} requests/s, ratio {without / median['ceteris']:.1f}")


if __name__ == "__main__":
    main()
