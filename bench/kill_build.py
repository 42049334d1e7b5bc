#!/usr/bin/env python3
"""Kills builds at random moments with SIGKILL, resumes each time, and checks what comes out.

  bench/kill_build.py MODEL WORK [--kills 50] [--seed 1] [--lutdb PROGRAM] [-- BUILD OPTIONS]

Builds as many stores as it takes for all the kills. Holds when every one has the content hash of a
store built in peace and passes `verify --deep`, and no range that a journal had as finished was lost
or made again. Prints one JSON object; exit status 1 when it does not hold. Standard library only. A
model that takes some seconds to build gives every kill something to interrupt.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time


def build(a, store):
    return [a.lutdb, "build", a.model, store, "--json"] + a.options


def sealed_ranges(store):
    """Numbers of the ranges that the journal holds as finished, in order; whole lines only."""
    try:
        with open(store + ".partial/journal") as file:
            return [line.split()[1] for line in file
                    if line.startswith("sealed ") and line.endswith("\n")]
    except OSError:
        return []


def info(a, store):
    return json.loads(subprocess.run([a.lutdb, "info", store, "--json"], check=True,
                                     stdout=subprocess.PIPE).stdout)


def remove(store):
    for path in (store, store + ".partial"):
        shutil.rmtree(path, ignore_errors=True)


def build_with_kills(a, store, peace, draw, report):
    """Builds one store to its end, killing while kills are left."""
    sealed = []
    while True:
        process = subprocess.Popen(build(a, store), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        if report["kills"] < a.kills:
            time.sleep(draw.uniform(0.02, peace * 0.7))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                report["kills"] += 1
        if process.wait() == 0:
            return
        now = sealed_ranges(store)
        report["finished_ranges_repeated"] += len(now) - len(set(now))
        report["finished_ranges_lost"] += len(set(sealed) - set(now))
        sealed = now


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("work")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lutdb", default="build/release/cli/lutdb")
    parser.add_argument("options", nargs="*")
    a = parser.parse_args()
    os.makedirs(a.work, exist_ok=True)
    whole, killed = (os.path.join(a.work, name) for name in ("whole.lut", "killed.lut"))
    remove(whole)

    start = time.monotonic()
    subprocess.run(build(a, whole), check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    peace = time.monotonic() - start
    expected = info(a, whole)["content_hash"]
    draw = random.Random(a.seed)
    report = {"kills": 0, "seed": a.seed, "seconds_in_peace": round(peace, 1), "stores": 0,
              "other_content_hash": 0, "verify_deep_failed": 0, "finished_ranges_repeated": 0,
              "finished_ranges_lost": 0, "ranges": 0, "ranges_resumed": []}
    while report["kills"] < a.kills:
        remove(killed)
        build_with_kills(a, killed, peace, draw, report)
        result = info(a, killed)
        report["stores"] += 1
        report["ranges"] = result["ranges"]
        report["ranges_resumed"].append(result["ranges_resumed"])
        report["other_content_hash"] += result["content_hash"] != expected
        verify = subprocess.run([a.lutdb, "verify", killed, "--deep"], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
        report["verify_deep_failed"] += verify.returncode != 0
    print(json.dumps(report, indent=1))
    wrong = ("other_content_hash", "verify_deep_failed", "finished_ranges_repeated",
             "finished_ranges_lost")
    sys.exit(1 if any(report[key] for key in wrong) else 0)


if __name__ == "__main__":
    main()
