#!/usr/bin/env python3
"""Builds a terabyte table store on this machine and measures it; then a physical one beside it.

  bench/terabyte.py MODEL WORK [--lutdb PROGRAM] [--physical MODEL]

MODEL is what bench/make_synthetic_llama.py writes. The build runs under a memory limit of 2 GiB
(cgroup v1 memory controller, needs root; without it the run says so). Prints one JSON object and
nothing else on standard output. Standard library only.

The first store holds derived products: 1.6 TB of entries that follow from 3.2 billion slopes, kept as
slopes. The second (--physical) holds rows written out one by one, so that nobody mistakes what
compresses for what is stored.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import time

LIMIT = "/sys/fs/cgroup/memory/lutdb-bench"


def machine():
    names = [l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")]
    memory = int(next(l for l in open("/proc/meminfo") if l.startswith("MemTotal")).split()[1])
    return {"cpu": names[0] if names else platform.machine(), "cores": os.cpu_count(),
            "memory_gib": round(memory / 2**20, 1), "kernel": platform.release()}


def make_limit(gib):
    """A memory cgroup of its own for what we start; None where there is no such controller."""
    try:
        os.makedirs(LIMIT, exist_ok=True)
        with open(LIMIT + "/memory.limit_in_bytes", "w") as file:
            file.write(str(int(gib * 2**30)))
        with open(LIMIT + "/memory.max_usage_in_bytes", "w") as file:
            file.write("0")
        return LIMIT
    except OSError:
        return None


def run(command, group=None):
    """Wall seconds and standard output of a command that must succeed."""
    def enter():
        if group:
            with open(group + "/cgroup.procs", "w") as file:
                file.write(str(os.getpid()))
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=enter, check=False)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"terabyte: {' '.join(command)} ended with {done.returncode}")
    return seconds, done.stdout


def median_ms(command, runs=9):
    run(command)  # warms the caches
    times = [run(command)[0] * 1e3 for _ in range(runs)]
    return {"median": round(statistics.median(times), 1), "min": round(min(times), 1),
            "max": round(max(times), 1), "runs": runs}


def disk_bytes(path):
    return sum(os.lstat(os.path.join(folder, name)).st_blocks * 512
               for folder, _, names in os.walk(path) for name in names)


def drop_caches():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
        return True
    except OSError:
        return False


def build(lutdb, model, store, options):
    group = make_limit(2)
    drop_caches()
    seconds, out = run([lutdb, "build", model, store, "--json", "--memory", "1GiB"] + options, group)
    peak = int(open(group + "/memory.max_usage_in_bytes").read()) if group else None
    info = json.loads(run([lutdb, "info", store, "--json"])[1])
    return {"build_seconds": round(seconds, 1), "memory_limit_gib": 2 if group else None,
            "memory_peak_bytes_with_page_cache": peak, "disk_bytes": disk_bytes(store),
            "raw_bytes": info["raw_bytes"], "stored_bytes": info["stored_bytes"],
            "derived_fraction": info["derived_fraction"], "content_hash": info["content_hash"],
            "ranges": info["ranges"]}


def one_token(lutdb, store, work, arena):
    tokens = os.path.join(work, "one.i32")
    with open(tokens, "wb") as file:
        file.write(struct.pack("<i", 1))
    command = [lutdb, "run", store, "--tokens", tokens, "--max-tokens", "1", "--temperature", "0",
               "--arena", arena, "--json"]
    return round(run(command)[0], 2)


def derived(a):
    store = os.path.join(a.work, "terabyte.lut")
    shutil.rmtree(store, ignore_errors=True)
    result = build(a.lutdb, a.model, store, [])
    table = "model.layers.3.mlp.gate_proj"
    npy = os.path.join(a.work, "neuron.npy")
    result["get_neuron_npy_ms"] = median_ms([a.lutdb, "get", store, f"{table}[77]", "--npy", npy])
    result["get_entry_ms"] = median_ms([a.lutdb, "get", store, f"{table}[77, 5, 200]", "--json"])
    result["verify_exact_0.001_seconds"] = round(
        run([a.lutdb, "verify", store, "--exact", "0.001"])[0], 1)
    drop_caches()
    result["one_token_cold_seconds"] = one_token(a.lutdb, store, a.work, "4GiB")
    result["one_token_warm_seconds"] = one_token(a.lutdb, store, a.work, "4GiB")
    result["one_token_arena_off_seconds"] = one_token(a.lutdb, store, a.work, "off")
    return result


def physical(a):
    store = os.path.join(a.work, "physical.lut")
    shutil.rmtree(store, ignore_errors=True)
    result = build(a.lutdb, a.physical, store, ["--layout", "row"])
    cold = drop_caches()
    result["caches_dropped"] = cold
    result["one_token_cold_seconds"] = one_token(a.lutdb, store, a.work, "off")
    result["one_token_warm_seconds"] = one_token(a.lutdb, store, a.work, "off")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("work")
    parser.add_argument("--lutdb", default="build/release/cli/lutdb")
    parser.add_argument("--physical", help="model of the store of rows")
    a = parser.parse_args()
    os.makedirs(a.work, exist_ok=True)
    report = {"machine": machine(), "weights": "synthetic", "derived": derived(a)}
    if a.physical:
        report["physical"] = physical(a)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
