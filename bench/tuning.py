#!/usr/bin/env python3
"""Tunes stores of networks that start as tables on public data, and says what came of it.

  bench/tuning.py SET [--seeds 10] [--work DIR] [--lutdb PROGRAM] [--integer-only] [--bake]
                  [-- TUNE OPTIONS]

SET is california-singles, california-chunks, mnist-tuples, mnist-flat, digits, wine, abalone,
banknote or iris. For each seed: a split, a graph file, `lutdb build`, `lutdb tune`, `lutdb eval` on
rows that neither training nor any choice has seen. Prints one JSON object: mean, 95 % interval,
entries, look-ups and seconds. NumPy; the data is that of tuning_data.py.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import tuning_data as data

STUDENT = {1: 0.0, 2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 10: 2.262}  # 95 %, by number of runs


def learned(name, neurons, reach, chunks, bits, scale, grid="signed"):
    return {"op": "learned", "name": name, "neurons": neurons, "range": reach,
            "table": {"input_bits": bits, "grid": grid, "scale": scale,
                      "chunks": [{"inputs": c, "bits": b} for c, b in chunks]}}


def hidden_graph(width, chunks, bits, hidden, outputs, mean=0.0, size=1.0, hidden_bits=8):
    """inputs in -1 .. 1 -> hidden -> outputs, every connection a function."""
    top = 2 ** (bits - 1) - 1 if bits > 1 else 1
    ops = [learned("hidden", hidden, 16.0, chunks, bits, 1 / top),
           learned("output", outputs, 16.0, [([h], hidden_bits) for h in range(hidden)],
                   hidden_bits, 3 / (2 ** (hidden_bits - 1) - 1))]
    if outputs == 1:
        ops.append({"op": "scale_shift", "scale": [size], "shift": [mean]})
    return {"format": "lutdb-graph-1", "input": {"width": width, "range": [-1, 1]}, "ops": ops}


def flat_graph(width, chunks, outputs):
    return {"format": "lutdb-graph-1", "input": {"width": width, "range": [-1, 1]},
            "ops": [learned("output", outputs, 32.0, chunks, 1, 1.0)]}


def singles(width, bits):
    return [([k], bits) for k in range(width)]


def tuples(images, count, size, reach, rng):
    """Random tuples of pixels that differ between images: a first one as likely as its spread is
    large, the others near it (a Gaussian of `reach` pixels, times their spread)."""
    on = (images > 127).mean(0)
    spread = np.sqrt(on * (1 - on))
    row, column = np.divmod(np.arange(len(on)), 28)
    out = []
    for _ in range(count):
        first = rng.choice(len(on), p=spread / spread.sum())
        distance = (row - row[first]) ** 2 + (column - column[first]) ** 2
        share = spread * np.exp(-distance / (2 * reach ** 2))
        chosen = rng.choice(len(on), size, False, share / share.sum())
        out.append((sorted(int(pixel) for pixel in chosen), 1))
    return out


def proposed_pairs(a, x, y, seed, work, count):
    """What `tune --propose-chunks` names first, on the rows it trains on."""
    graph = hidden_graph(x.shape[1], singles(x.shape[1], 4), 4, 8, 1)
    save(work, "pairs", x, y)
    with open(f"{work}/pairs.json", "w", encoding="utf-8") as file:
        json.dump(graph, file)
    call([a.lutdb, "build", f"{work}/pairs.json", f"{work}/pairs-{seed}.lut", "--json"])
    found = call([a.lutdb, "tune", f"{work}/pairs-{seed}.lut", "--inputs", f"{work}/pairs_x.npy",
                  "--targets", f"{work}/pairs_y.npy", "--seed", str(seed), "--propose-chunks",
                  str(count), "--json"])
    return [pair["inputs"] for pair in found["pairs"]]


def california(a, seed, work):
    """11 single inputs, as ranks; chunks of longitude and latitude (7 and 5 bits), of their sum and
    difference (7 bits) and of five proposed pairs (5 bits). One input has one grid, so what is
    looked up at several is given several times."""
    x, y = data.california()
    train, test = data.split(len(x), seed, (0.8, 0.2))
    ranks = data.ranks(x[train], x)
    mean, size = float(y[train].mean()), float(y[train].std())
    if not a.set.endswith("chunks"):
        graph = hidden_graph(11, singles(11, 4), 4, 8, 1, mean, size, 4)
        return graph, (ranks[train], y[train]), (ranks[test], y[test])
    place = (x[:, :2] - x[train, :2].mean(0)) / x[train, :2].std(0)
    turned = np.c_[place.sum(1), place[:, 0] - place[:, 1]]
    turned = data.ranks(turned[train], turned)
    pairs = proposed_pairs(a, ranks[train], y[train], seed, work, 6)
    pairs = [pair for pair in pairs if pair != [0, 1]][:5]
    columns, chunks, tops = [ranks], singles(11, 6), [31.0] * 11
    for pair, bits in [(ranks[:, :2], 7), (turned, 7), (ranks[:, :2], 5)] + [
            (ranks[:, p], 5) for p in pairs]:
        chunks.append(([len(tops), len(tops) + 1], bits))
        columns.append(pair)
        tops += [2.0 ** (bits - 1) - 1] * 2
    inputs = np.concatenate(columns, 1)
    graph = hidden_graph(len(tops), chunks, 6, 8, 1, mean, size, 6)
    graph["ops"][0]["table"]["scale"] = 1.0
    graph["ops"][0]["table"]["input_scales"] = [1 / top for top in tops]
    return graph, (inputs[train], y[train]), (inputs[test], y[test])


def mnist(seed, flat):
    """Pixels of one bit, above 127 or not, in tuples of 8. Which pixels are near and which differ
    between images is read from the training images alone."""
    rng = np.random.default_rng(seed)
    (x, y), (xt, yt) = data.mnist("train"), data.mnist("test")
    chunks = tuples(x, 392, 8, 3.0, rng) if flat else tuples(x, 98, 8, 4.0, rng)
    used = sorted({pixel for chunk, _ in chunks for pixel in chunk})
    chunks = [([used.index(pixel) for pixel in chunk], bits) for chunk, bits in chunks]
    sets = [(np.where(p[:, used] > 127, 1, -1), c) for p, c in ((x, y), (xt, yt))]
    if flat:
        return flat_graph(len(used), chunks, 10), *sets
    return hidden_graph(len(used), chunks, 1, 16, 10, hidden_bits=4), *sets


def digits(seed):
    x, y, groups = data.spoken_digits()
    rng = np.random.default_rng(seed)
    test = np.concatenate([rng.permutation(np.flatnonzero(groups == g))[
        :round(300 * (groups == g).mean())] for g in np.unique(groups)])
    train = np.setdiff1d(np.arange(len(x)), test)
    ranks = data.ranks(x[train], x)
    # Neighbours in time and in frequency.
    chunks = [([t * 16 + b, t * 16 + b + 1], 3) for t in range(16) for b in range(0, 16, 2)]
    chunks += [([t * 16 + b, t * 16 + 16 + b], 3) for t in range(0, 16, 2) for b in range(16)]
    graph = {"format": "lutdb-graph-1", "input": {"width": 256, "range": [-1, 1]},
             "ops": [learned("output", 10, 32.0, chunks, 3, 1 / 3)]}
    return graph, (ranks[train], y[train]), (ranks[test], y[test])


def small(name, seed):
    x, y, classes = data.small(name)
    train, test = data.split(len(x), seed, (0.8, 0.2))
    ranks = data.ranks(x[train], x)
    width = x.shape[1]
    if classes:
        graph = {"format": "lutdb-graph-1", "input": {"width": width, "range": [-1, 1]},
                 "ops": [learned("output", classes, 32.0, singles(width, 4), 4, 1 / 7)]}
    else:
        graph = hidden_graph(width, singles(width, 4), 4, 8, 1, float(y[train].mean()),
                             float(y[train].std()), 4)
    return graph, (ranks[train], y[train]), (ranks[test], y[test])


def problem(a, seed, work):
    name = a.set
    if name.startswith("california"):
        return california(a, seed, work)
    if name.startswith("mnist"):
        return mnist(seed, name.endswith("flat"))
    return digits(seed) if name == "digits" else small(name, seed)


def run(words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def call(words):
    return json.loads(run(words))


def save(work, name, x, y):
    np.save(f"{work}/{name}_x.npy", np.ascontiguousarray(x, np.float32))
    np.save(f"{work}/{name}_y.npy", np.ascontiguousarray(y, np.float32))


def evaluate(a, store, work):
    return call([a.lutdb, "eval", store, "--inputs", f"{work}/test_x.npy", "--targets",
                 f"{work}/test_y.npy", "--json"])


def integer_only(a, seed, store, work):
    """Accuracy of the same entries in a network of tables and thresholds alone."""
    whole = f"{work}/{seed}-integer.lut"
    call([a.lutdb, "build", f"{work}/graph.json", whole, "--integer-only", "--json"])
    with open(f"{work}/patch.jsonl", "w", encoding="utf-8") as file:
        file.write(run([a.lutdb, "diff", store, "start", "main", "--patch"]))
    run([a.lutdb, "edit", whole, f"{work}/patch.jsonl", "-m", "as tuned"])
    return evaluate(a, whole, work)["accuracy"]


def one(a, seed, work):
    graph, train, test = problem(a, seed, work)
    for name, (x, y) in (("train", train), ("test", test)):
        save(work, name, x, y)
    with open(f"{work}/graph.json", "w", encoding="utf-8") as file:
        json.dump(graph, file)
    store = f"{work}/{seed}.lut"
    call([a.lutdb, "build", f"{work}/graph.json", store, "--json"])
    run([a.lutdb, "branch", store, "start"])
    tuned = call([a.lutdb, "tune", store, "--inputs", f"{work}/train_x.npy", "--targets",
                  f"{work}/train_y.npy", "--seed", str(seed), "--json"] + a.options)
    measured = evaluate(a, store, work)
    info = call([a.lutdb, "info", store, "--json"])
    lookups = sum(len(op["table"]["chunks"]) for op in graph["ops"] if op["op"] == "learned")
    more = {"integer_only": integer_only(a, seed, store, work)} if a.integer_only else {}
    if a.bake:
        run([a.lutdb, "bake", store])
        baked = call([a.lutdb, "info", store, "--json"])
        more["stored_bytes"] = baked["stored_bytes"]
        more["bits_per_entry"] = round(8 * baked["stored_bytes"] / tuned["entries"], 3)
        more["coarse_bits"] = tuned["coarse_bits"]
    return {**more, "test": measured["accuracy" if "accuracy" in measured else "mse"],
            "figure": "accuracy" if "accuracy" in measured else "mse", "entries": tuned["entries"],
            "lookups": lookups, "raw_bytes": info["raw_bytes"], "seconds": tuned["seconds"],
            "epochs": tuned["epochs"], "learning_rate": tuned["learning_rate"],
            "penalties": [tuned["smooth"], tuned["curve"], tuned["near"]],
            "valid": tuned["valid"]["after"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=("california-singles", "california-chunks", "mnist-tuples",
                                        "mnist-flat", "digits", "wine", "abalone", "banknote",
                                        "iris"))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--work")
    parser.add_argument("--integer-only", action="store_true",
                        help="also measure the entries in an integer-only network (classes)")
    parser.add_argument("--bake", action="store_true",
                        help="also bake the entries and say how many bits each takes on disk")
    parser.add_argument("--lutdb", default=os.path.join(data.ROOT, "build/release/cli/lutdb"))
    words = sys.argv[1:]
    cut = words.index("--") if "--" in words else len(words)
    a = parser.parse_args(words[:cut])
    a.options = words[cut + 1:]
    with tempfile.TemporaryDirectory(dir=a.work) as work:
        runs = [one(a, seed, work) for seed in range(1, a.seeds + 1)]
    figures = np.array([run["test"] for run in runs])
    half = 0.0
    if len(runs) > 1:
        half = STUDENT.get(len(runs), 1.96) * figures.std(ddof=1) / len(runs) ** 0.5
    print(json.dumps({"set": a.set, "options": a.options, "figure": runs[0]["figure"],
                      "mean": round(float(figures.mean()), 4), "interval": round(float(half), 4),
                      "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
