#!/usr/bin/env python3
"""Kills a build at random moments with SIGKILL, resumes it each time, and checks what comes out.

  bench/kill_build.py MODEL WORK [--kills 50] [--seed 1] [--lutdb PROGRAM] [-- BUILD OPTIONS]

Holds when the store that survived has the content hash of one built in peace, passes
`verify --deep`, and no range that the journal had as finished was lost or made again. Prints one JSON
object; exit status 1 when it does not hold. Standard library only. A model that takes ten seconds to build or more gives every kill something to interrupt.
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
    for path in (whole, killed, whole + ".partial", killed + ".partial"):
        shutil.rmtree(path, ignore_errors=True)

    start = time.monotonic()
    subprocess.run(build(a, whole), check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    peace = time.monotonic() - start
    draw = random.Random(a.seed)
    kills, finished, sealed, repeated, lost = 0, False, [], 0, 0
    while not finished:
        process = subprocess.Popen(build(a, killed), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        if kills < a.kills:
            # Early kills are short of the first range, late ones leave little: most fall between.
            time.sleep(draw.uniform(0.02, max(0.1, 4 * peace / a.kills)))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
        finished = process.wait() == 0
        if not finished:
            now = sealed_ranges(killed)
            repeated += len(now) - len(set(now))
            lost += len(set(sealed) - set(now))
            sealed = now
    result = info(a, killed)
    verify = subprocess.run([a.lutdb, "verify", killed, "--deep"], stdout=subprocess.DEVNULL)
    report = {
        "kills": kills, "seed": a.seed, "seconds_in_peace": round(peace, 1),
        "same_content_hash": result["content_hash"] == info(a, whole)["content_hash"],
        "verify_deep_clean": verify.returncode == 0,
        "finished_ranges_repeated": repeated, "finished_ranges_lost": lost,
        "ranges": result["ranges"], "ranges_resumed": result["ranges_resumed"],
    }
    print(json.dumps(report, indent=1))
    sys.exit(0 if report["same_content_hash"] and report["verify_deep_clean"]
             and repeated == 0 and lost == 0 else 1)


if __name__ == "__main__":
    main()
