#!/usr/bin/env python3
"""Times the matrix products of a training step, ours and torch.mm's in turn, and prints the ratios of their rates.

    products.py EXECUTABLE [--threads 2] [--rounds 15] [--slice 30] [--only WORD] [--at-least 0.93]

EXECUTABLE is the example `products` of the crate rtune-kernels (`cargo build --release -p rtune-kernels --example products`).
Of each round either side runs for a slice of milliseconds, the first of them changing from round to round, and its best
product counts. What is printed are medians over the rounds, so that a machine that does other things beside says something.
On one thread both count the thread's own time, which other programs lengthen less. Our right factors are in NF4 where a step's are; torch's are numbers. Exits 1 if a median of ratios is below --at-least."""

import argparse
import os
import statistics
import subprocess
import sys
import time


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("executable")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--slice", type=int, default=30)
    parser.add_argument("--only", default="")
    parser.add_argument("--at-least", type=float, default=0.0)
    options = parser.parse_args()
    import torch

    environment = dict(os.environ, RAYON_NUM_THREADS=str(options.threads))
    process = subprocess.Popen(
        [options.executable], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    shapes = []
    while line := process.stdout.readline().rstrip("\n"):
        shapes.append(line.split("\t"))

    def ours(number):
        process.stdin.write(f"{number} {options.slice}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    def theirs(left, right, out, adds, clock):
        run = (lambda: out.addmm_(left, right)) if adds else (lambda: torch.mm(left, right, out=out))
        run()
        best, begin = 1e9, time.perf_counter()
        while time.perf_counter() - begin < options.slice / 1000:
            start = clock()
            run()
            best = min(best, clock() - start)
        return best

    print(f"{'':24}{'m':>6}{'k':>7}{'n':>7}{'ours':>9}{'torch':>9}   ratio (least to most), GFLOP/s")
    worst = 1e9
    for number, (name, m, k, n, turned, adds, alone) in enumerate(shapes):
        if options.only not in name:
            continue
        m, k, n = int(m), int(k), int(n)
        torch.set_num_threads(1 if alone == "1" else options.threads)
        clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        left = torch.randn(k, m).t() if turned == "left" else torch.randn(m, k)
        right = torch.randn(n, k).t() if turned == "right" else torch.randn(k, n)
        out = torch.zeros(m, n)
        rates = []
        for round in range(options.rounds):
            # torch's threads spin for a while after their work.
            pause = lambda: time.sleep(0.01)
            if round % 2:
                mine, _, other = ours(number), pause(), theirs(left, right, out, adds == "1", clock)
            else:
                other, _, mine = theirs(left, right, out, adds == "1", clock), pause(), ours(number)
            rates.append((2e-9 * m * k * n / mine, 2e-9 * m * k * n / other))
        ratios = sorted(mine / other for mine, other in rates)
        middle = statistics.median(ratios)
        worst = min(worst, middle)
        mine, other = (statistics.median(rate[side] for rate in rates) for side in (0, 1))
        best = max(rate[0] for rate in rates) / max(rate[1] for rate in rates)
        print(f"{name:24}{m:6}{k:7}{n:7}{mine:9.1f}{other:9.1f}   {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), best by best {best:.2f}", flush=True)
    process.stdin.close()
    process.wait()
    sys.exit(1 if worst < options.at_least else 0)


if __name__ == "__main__":
    main()
