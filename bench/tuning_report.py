#!/usr/bin/env python3
"""Every figure of docs/tuning.md about rows of data: tuned tables, and what they are compared with.

  bench/tuning_report.py [--seeds 10] [--output DIR] [--peers] [--lutdb PROGRAM]

Runs tuning.py with the options of each row below and, with --peers, tuning_peers.py; prints a line
for each and, with --output, keeps what they printed. Ten seeds take most of an hour on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import tuning_data as data

ROWS = {
    "california-singles": "--curve 10 --lr 0.02",
    "california-chunks": "--curve 10 --smooth 1 --lr 0.01 --epochs 30 --search 6",
    "mnist-flat": "--lr 0.01 --near 0.3 --smooth 0.3 --epochs 20",
    "mnist-tuples": "--lr 0.02 --near 0.3 --smooth 1 --epochs 30",
    "digits": "--lr 0.01 --near 0.1 --epochs 20 --search 8",
    "wine": "--batch 16 --lr 0.02 --curve 1 --near 0.1 --epochs 100",
    "banknote": "--batch 16 --lr 0.02 --curve 1 --near 0.1 --epochs 100",
    "iris": "--batch 16 --lr 0.02 --curve 1 --near 0.1 --epochs 100",
    "abalone": "--curve 10 --lr 0.02",
}
PEERS = ("california", "mnist", "digits", "wine", "banknote", "iris", "abalone")
HERE = os.path.dirname(os.path.abspath(__file__))


def run(script, words, output, name):
    begin = time.time()
    done = subprocess.run([sys.executable, os.path.join(HERE, script)] + words,
                          stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{script} {' '.join(words)} failed")
    if output:
        with open(os.path.join(output, name + ".json"), "w", encoding="utf-8") as file:
            file.write(done.stdout)
    return json.loads(done.stdout), time.time() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--output")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--lutdb", default=os.path.join(data.ROOT, "build/release/cli/lutdb"))
    a = parser.parse_args()
    if not os.path.isdir(data.folder()):
        sys.exit(f"no data at {data.folder()}; set LUTDB_TEST_DATA")
    if a.output:
        os.makedirs(a.output, exist_ok=True)
    for name, options in ROWS.items():
        words = [name, "--seeds", str(a.seeds), "--lutdb", a.lutdb, "--"] + options.split()
        result, seconds = run("tuning.py", words, a.output, name)
        first = result["runs"][0]
        print(f"{name}: {result['figure']} {result['mean']:.4f} +- {result['interval']:.4f}, "
              f"{first['entries']:,} entries ({first['raw_bytes']:,} bytes), {first['lookups']} "
              f"look-ups, {first['seconds']:.1f} s to train, {seconds:.0f} s in all", flush=True)
    for name in PEERS if a.peers else ():
        result, _ = run("tuning_peers.py", ["--set", name, "--seeds", str(a.seeds)], a.output,
                        "peers-" + name)
        for peer, figures in result["peers"].items():
            print(f"{name}, {peer}: {figures['mean']:.4f} +- {figures['interval']:.4f}, "
                  f"{figures['parameters']} parameters, {figures['seconds']:.1f} s", flush=True)


if __name__ == "__main__":
    main()
