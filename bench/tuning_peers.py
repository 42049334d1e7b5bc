#!/usr/bin/env python3
"""What tuned tables are compared with, on the sets of tuning.py.

  bench/tuning_peers.py [--seeds 10] [--set california] [--only PART] [--epochs 60]

Weight networks of the same shapes with quantisation-aware training, float MLPs, a Kolmogorov-Arnold
network with cubic B-splines (tuning_networks.py), ridge regression for the digits and, where
python3-sklearn is installed, HistGradientBoosting and MLPRegressor. Splits are those of tuning.py,
a tenth of the training rows deciding when to stop and between variants. --only names peers by a
part of their names. Prints one JSON object: per peer mean, 95 % interval, parameters and seconds.
"""

import argparse
import json
import sys
import time

import numpy as np

import tuning_data as data
from tuning_networks import (Classes, DeepNetwork, FlatNetwork, SplineNetwork, Squares,
                             WeightNetwork, fit)

STUDENT = {2: 12.71, 3: 4.303, 5: 2.776, 10: 2.262}  # 95 %, by number of runs


def held_out(train, seed):
    """(to learn from, to decide with): nine tenths and one."""
    order = np.random.default_rng(seed).permutation(train)
    return order[len(order) // 10:], order[:len(order) // 10]


class Run:
    """One seed of one set: runs the peers that --only lets through."""

    def __init__(self, only, seed):
        self.only, self.seed, self.figures = only, seed, {}

    def measure(self, name, parameters, results):
        """results: gives pairs (what decides, figure); the pair that decides best counts."""
        if self.only in name:
            begin = time.time()
            figure = min(results())[1]
            self.figures[name] = {"figure": figure, "parameters": parameters,
                                  "seconds": time.time() - begin}

    def network(self, name, make, inputs, goal, parts, rates, epochs):
        """inputs: (values, range) pairs, each tried with each rate."""
        def results():
            for values, reach in inputs:
                for rate in rates:
                    rng = np.random.default_rng(self.seed)
                    network = make(rng)
                    network.input_range = reach
                    yield fit(network, values, goal, *parts, rng, rate, epochs)
        parameters = sum(p.size for p in make(np.random.default_rng(0)).parameters)
        self.measure(name, int(parameters), lambda: list(results()))


# Hidden neurons of each of two layers: as many parameters (310,201 for 11 inputs) as the tables of
# California housing have entries with chunks.
CHUNK_WIDTH = 550


def regression(run, x, y, epochs):
    train, test = data.split(len(x), run.seed, (0.8, 0.2))
    learn, valid = held_out(train, run.seed)
    parts = (learn, valid, test)
    standard = np.clip((x - x[train].mean(0)) / x[train].std(0), -3, 3)
    inputs = [(standard, 3.0), (data.ranks(x[train], x).astype(float), 1.0)]
    goal, k = Squares(y, train), x.shape[1]
    for hidden in (8, 128):
        run.network(f"weights {k}-{hidden}-1, 4 bits",
                    lambda rng, h=hidden: WeightNetwork(k, h, 4, rng), inputs, goal, parts,
                    (0.003, 0.01), epochs)
    run.network(f"spline KAN {k}-8-1, 8 intervals", lambda rng: SplineNetwork(k, 8, 8, rng),
                inputs, goal, parts, (0.01,), epochs)
    # As many parameters as the tables have entries: of single inputs, towards those with chunks.
    run.network(f"float MLP {k}-110-1", lambda rng: WeightNetwork(k, 110, None, rng), inputs, goal,
                parts, (0.003, 0.01), epochs)
    for width in (256, CHUNK_WIDTH):
        run.network(f"float MLP {k}-{width}-{width}-1",
                    lambda rng, w=width: DeepNetwork(k, w, rng), inputs, goal, parts, (0.001,),
                    epochs)
    scikit_learn(run, standard, x, y, parts)


def scikit_learn(run, standard, x, y, parts):
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
        from sklearn.neural_network import MLPRegressor
    except ImportError:
        print("python3-sklearn is not installed: no boosting", file=sys.stderr)
        return
    learn, valid, test = parts

    def errors(model, inputs):
        model.fit(inputs[learn], y[learn])
        return tuple(float(np.mean((model.predict(inputs[rows]) - y[rows]) ** 2))
                     for rows in (valid, test))

    def boosting(settings):
        return errors(HistGradientBoostingRegressor(random_state=run.seed, **settings), x)

    slow = {"learning_rate": 0.05, "max_iter": 1000, "early_stopping": True}
    tuned = ({"early_stopping": False}, {**slow, "max_leaf_nodes": 31},
             {**slow, "max_leaf_nodes": 63, "min_samples_leaf": 10, "l2_regularization": 1.0},
             {**slow, "learning_rate": 0.03, "max_iter": 2000, "l2_regularization": 1.0})
    run.measure("HistGradientBoosting", None, lambda: [boosting(tuned[0])])
    run.measure("HistGradientBoosting, tuned", None, lambda: [boosting(s) for s in tuned])
    for width in (256, CHUNK_WIDTH):
        run.measure(f"MLPRegressor {width}-{width}", None, lambda w=width: [errors(
            MLPRegressor((w, w), early_stopping=True, random_state=run.seed), standard)])


def mnist(run, epochs):
    (x, y), (xt, yt) = data.mnist("train"), data.mnist("test")
    learn, valid = held_out(np.arange(len(x)), run.seed)
    pixels = np.concatenate([x, xt])
    goal = Classes(np.concatenate([y, yt]))
    parts = (learn, valid, np.arange(len(x), len(pixels)))
    bits = (pixels > 127).astype(np.float32)
    inputs = [(bits, 1.0), (2 * bits - 1, 1.0)]

    def small(rng):
        network = WeightNetwork(784, 16, 4, rng, 10)
        network.code_inputs = False  # they are one bit already
        network.parameters = [p.astype(np.float32) for p in network.parameters]
        return network

    run.network("weights 784-16-10, 1-bit pixels, 4-bit hidden", small, inputs, goal, parts,
                (0.001, 0.003, 0.01), epochs)
    run.network("weights 784-10, 1-bit pixels", lambda rng: FlatNetwork(784, 10, None, rng),
                inputs, goal, parts, (0.001, 0.003), epochs)


def digits(run, epochs):
    x, y, groups = data.spoken_digits()
    rng = np.random.default_rng(run.seed)
    test = np.concatenate([rng.permutation(np.flatnonzero(groups == g))[
        :round(300 * (groups == g).mean())] for g in np.unique(groups)])
    train = np.setdiff1d(np.arange(len(x)), test)
    learn, valid = held_out(train, run.seed)
    inputs = [(data.ranks(x[train], x).astype(float), 1.0)]
    goal = Classes(y)
    run.network("weights 256-10, 3 bits", lambda r: FlatNetwork(256, 10, 3, r), inputs, goal,
                (learn, valid, test), (0.001, 0.01), epochs)
    standard = (x - x[train].mean(0)) / x[train].std(0)
    wanted = np.eye(10)[y]

    def ridge():
        for strength in 10.0 ** np.arange(-1, 5):
            square = standard[learn].T @ standard[learn] + strength * np.eye(x.shape[1])
            weights = np.linalg.solve(square, standard[learn].T @ (wanted[learn] - 0.1))
            right = [float(((standard[r] @ weights).argmax(1) == y[r]).mean())
                     for r in (valid, test)]
            yield -right[0], right[1]
    run.measure("ridge regression", 2560, lambda: list(ridge()))


def small(run, name, epochs):
    x, y, classes = data.small(name)
    train, test = data.split(len(x), run.seed, (0.8, 0.2))
    parts = (*held_out(train, run.seed), test)
    inputs = [(data.ranks(x[train], x).astype(float), 1.0)]
    k = x.shape[1]
    run.network(f"weights {k}-{classes}, 4 bits", lambda rng: FlatNetwork(k, classes, 4, rng),
                inputs, Classes(y), parts, (0.01, 0.1), epochs)


def one(name, only, seed, epochs):
    run = Run(only, seed)
    if name == "california":
        regression(run, *(a.astype(float) for a in data.california()), epochs)
    elif name == "abalone":
        regression(run, *(a.astype(float) for a in data.small("abalone")[:2]), epochs)
    elif name == "mnist":
        mnist(run, epochs)
    elif name == "digits":
        digits(run, epochs)
    else:
        small(run, name, epochs)
    return run.figures


def summary(runs):
    """Mean and 95 % interval (Student's t) of each peer's figures."""
    out = {}
    for name in runs[0]:
        figures = np.array([run[name]["figure"] for run in runs])
        half = 0.0
        if len(figures) > 1:
            half = STUDENT.get(len(figures), 1.96) * figures.std(ddof=1) / len(figures) ** 0.5
        out[name] = {"mean": round(float(figures.mean()), 4), "interval": round(float(half), 4),
                     "parameters": runs[0][name]["parameters"],
                     "seconds": round(float(np.mean([run[name]["seconds"] for run in runs])), 1),
                     "runs": len(runs), "figures": [round(float(f), 4) for f in figures]}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", default="california",
                        choices=("california", "abalone", "mnist", "digits", "wine", "banknote",
                                 "iris"))
    parser.add_argument("--only", default="")
    parser.add_argument("--epochs", type=int, default=60)
    a = parser.parse_args()
    runs = [one(a.set, a.only, seed, a.epochs) for seed in range(1, a.seeds + 1)]
    if not runs[0]:
        sys.exit(f"no peer of {a.set} is called {a.only!r}")
    print(json.dumps({"set": a.set, "peers": summary(runs)}, indent=1))


if __name__ == "__main__":
    main()
