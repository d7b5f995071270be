"""rliable's stratified bootstrap of median, IQM, mean and optimality gap, as its README calls it.

The scores are those of `analysis/examples/score_intervals.rs`. With --processes, methods are spread over that many
processes, which rliable itself does not do. Prints one line of JSON: estimates and interval ends method by method.
"""

import argparse
import json
import multiprocessing
import os
import time

# Arrays are small: threads of the linear algebra library would only get in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from rliable import library, metrics


def scores(method, runs, tasks):
    run, task = np.mgrid[:runs, :tasks]
    return (run * 7919 + task * 4729 + method * 1543 + run * task * 31) % 10_007 / 10_007 * (1 + 0.1 * method)


def aggregates(matrix):
    return np.array([
        metrics.aggregate_median(matrix), metrics.aggregate_iqm(matrix), metrics.aggregate_mean(matrix),
        metrics.aggregate_optimality_gap(matrix),
    ])


def intervals(job):
    methods, args = job
    np.random.seed(methods[0])
    matrices = {str(method): scores(method, args.runs, args.tasks) for method in methods}
    return library.get_interval_estimates(matrices, aggregates, reps=args.resamples)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=int, default=4)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--resamples", type=int, default=50_000)
    parser.add_argument("--processes", type=int, default=1)
    args = parser.parse_args()

    began = time.perf_counter()
    jobs = [(list(map(int, part)), args) for part in np.array_split(range(args.methods), args.processes)]
    if args.processes == 1:
        parts = [intervals(jobs[0])]
    else:
        with multiprocessing.Pool(args.processes) as pool:
            parts = pool.map(intervals, jobs)
    seconds = time.perf_counter() - began

    points = np.concatenate([list(points.values()) for points, _ in parts])
    ends = np.concatenate([list(ends.values()) for _, ends in parts])
    print(json.dumps({
        "seconds": seconds, "estimate": points.ravel().tolist(), "low": ends[:, 0].ravel().tolist(),
        "high": ends[:, 1].ravel().tolist(),
    }))


if __name__ == "__main__":
    main()
