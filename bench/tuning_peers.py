#!/usr/bin/env python3
"""What tuned tables are compared with, on California housing and the small sets of tuning.py.

  bench/tuning_peers.py [--seeds 10] [--set california] [--epochs 60]

A weight network of the same shape with quantisation-aware training (inputs and activations of b bits,
straight-through gradients), a float MLP, a Kolmogorov-Arnold network of the same shape with cubic
B-splines (all three written here, NumPy alone) and, where python3-sklearn is installed,
HistGradientBoosting and MLPRegressor. Splits are those of tuning.py: 80 % to train on, of which a
tenth decides when to stop and between variants. Prints one JSON object.
"""

import argparse
import json
import sys
import time

import numpy as np

import tuning_data as data


class Adam:
    def __init__(self, parameters, rate):
        self.parameters, self.rate, self.count = parameters, rate, 0
        self.first = [np.zeros_like(p) for p in parameters]
        self.second = [np.zeros_like(p) for p in parameters]

    def step(self, gradients, along):
        self.count += 1
        rate = self.rate * (0.01 + 0.99 * 0.5 * (1 + np.cos(np.pi * along)))
        for p, g, m, v in zip(self.parameters, gradients, self.first, self.second):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= rate * (m / (1 - 0.9 ** self.count)) / (
                np.sqrt(v / (1 - 0.999 ** self.count)) + 1e-8)


class WeightNetwork:
    """inputs - hidden (ReLU) - 1; bits None: float. Inputs and activations on even grids, the hidden
    one's range the largest activation seen lately."""

    def __init__(self, inputs, hidden, bits, rng):
        self.bits = bits
        self.parameters = [rng.normal(size=(inputs, hidden)) * np.sqrt(2 / inputs),
                           rng.normal(size=hidden) * 0.1,
                           rng.normal(size=(hidden, 1)) * np.sqrt(1 / hidden), np.zeros(1)]
        self.range = 1.0

    def code(self, x, low, high):
        if self.bits is None:
            return x
        steps = 2 ** self.bits - 1 - (1 if low < 0 else 0)
        unit = (high - low) / steps
        return np.clip(np.round((x - low) / unit), 0, steps) * unit + low

    def forward(self, x, learning=False):
        w1, b1, w2, b2 = self.parameters
        self.x = self.code(x, -self.input_range, self.input_range)
        self.h = np.maximum(self.x @ w1 + b1, 0)
        if learning:
            self.range = 0.99 * self.range + 0.01 * np.quantile(self.h, 0.999)
        self.inside = (self.h > 0) & ((self.h < self.range) | (self.bits is None))
        self.a = self.code(self.h, 0.0, max(self.range, 1e-3))
        return (self.a @ w2 + b2)[:, 0]

    def gradients(self, error):
        w2 = self.parameters[2]
        g = 2 * error[:, None] / len(error)
        back = (g @ w2.T) * self.inside
        return [self.x.T @ back, back.sum(0), self.a.T @ g, g.sum(0)]


class DeepNetwork(WeightNetwork):
    """A float MLP with two hidden layers."""

    def __init__(self, inputs, hidden, rng):
        self.parameters = []
        for a, b in ((inputs, hidden), (hidden, hidden), (hidden, 1)):
            self.parameters += [rng.normal(size=(a, b)) * np.sqrt(2 / a), np.zeros(b)]

    def forward(self, x, learning=False):
        w1, b1, w2, b2, w3, b3 = self.parameters
        self.x = x
        self.h1 = np.maximum(x @ w1 + b1, 0)
        self.h2 = np.maximum(self.h1 @ w2 + b2, 0)
        return (self.h2 @ w3 + b3)[:, 0]

    def gradients(self, error):
        _, _, w2, _, w3, _ = self.parameters
        g = 2 * error[:, None] / len(error)
        g2 = (g @ w3.T) * (self.h2 > 0)
        g1 = (g2 @ w2.T) * (self.h1 > 0)
        return [self.x.T @ g1, g1.sum(0), self.h1.T @ g2, g2.sum(0), self.h2.T @ g, g.sum(0)]


def bspline(x, intervals):
    """Values and derivatives of the cubic B-splines on even knots over [-1, 1]: rows x inputs x
    (intervals + 3)."""
    width = 2 / intervals
    t = (np.clip(x, -1, 1 - 1e-6) + 1) / width
    cell = np.minimum(t.astype(int), intervals - 1)
    u = t - cell
    values = np.stack([(1 - u) ** 3, 3 * u ** 3 - 6 * u ** 2 + 4,
                       -3 * u ** 3 + 3 * u ** 2 + 3 * u + 1, u ** 3], -1) / 6
    slopes = np.stack([-(1 - u) ** 2, 3 * u ** 2 - 4 * u, -3 * u ** 2 + 2 * u + 1, u ** 2],
                      -1) / (2 * width)
    slopes *= (np.abs(x) < 1)[..., None]
    basis = np.zeros(x.shape + (intervals + 3,))
    derivative = np.zeros_like(basis)
    for k in range(4):
        np.put_along_axis(basis, (cell + k)[..., None], values[..., k:k + 1], -1)
        np.put_along_axis(derivative, (cell + k)[..., None], slopes[..., k:k + 1], -1)
    return basis, derivative


class SplineNetwork:
    """inputs - hidden - 1 with a cubic spline on every edge."""

    def __init__(self, inputs, hidden, intervals, rng):
        self.intervals, self.reach = intervals, 3.0
        count = intervals + 3
        ramp = np.linspace(-1, 1, count)
        self.parameters = [
            rng.normal(size=(inputs, 1, hidden)) / np.sqrt(inputs) * 1.7 * ramp[None, :, None],
            rng.normal(size=(hidden, 1, 1)) * 0.5 * ramp[None, :, None], np.zeros(1)]

    def forward(self, x, learning=False):
        c1, c2, bias = self.parameters
        self.b1, _ = bspline(x / self.input_range, self.intervals)
        h = np.einsum("rik,ikh->rh", self.b1, c1)
        self.b2, self.d2 = bspline(h / self.reach, self.intervals)
        return np.einsum("rhk,hko->ro", self.b2, c2)[:, 0] + bias[0]

    def gradients(self, error):
        g = 2 * error / len(error)
        c2 = self.parameters[1][:, :, 0]
        back = g[:, None] * np.einsum("rhk,hk->rh", self.d2, c2) / self.reach
        return [np.einsum("rik,rh->ikh", self.b1, back),
                np.einsum("rhk,r->hk", self.b2, g)[:, :, None], np.array([g.sum()])]


def fit(network, x, y, train, valid, test, rng, rate, epochs, batch=128):
    """Trains with early stopping; mean squared errors on validation and test rows."""
    mean, size = y[train].mean(), y[train].std()
    goal = (y - mean) / size
    adam = Adam(network.parameters, rate)
    batches = len(train) // batch
    best = (np.inf, np.inf)
    for epoch in range(epochs):
        order = rng.permutation(train)
        for i in range(batches):
            rows = order[i * batch:(i + 1) * batch]
            error = network.forward(x[rows], True) - goal[rows]
            adam.step(network.gradients(error), (epoch * batches + i) / (epochs * batches))
        errors = [float(np.mean((network.forward(x[rows]) - goal[rows]) ** 2) * size ** 2)
                  for rows in (valid, test)]
        best = min(best, tuple(errors))
    return best


def best_of(variants):
    """(validation, test) of the variant that is best on validation rows."""
    return min(variants)


def peers(x, y, seed, epochs, bits, hidden):
    train, valid, test = data.split(len(x), seed, (0.72, 0.08, 0.2))
    standard = (x - x[train].mean(0)) / x[train].std(0)
    inputs = {"standard": (np.clip(standard, -3, 3), 3.0), "ranks": (data.ranks(x[train], x), 1.0)}
    figures = {}

    def run(name, make, rates):
        begin = time.time()
        results = []
        for values, reach in inputs.values():
            for rate in rates:
                rng = np.random.default_rng(seed)
                network = make(rng)
                network.input_range = reach
                results.append(fit(network, values, y, train, valid, test, rng, rate, epochs))
        figures[name] = {"mse": best_of(results)[1], "seconds": time.time() - begin,
                         "parameters": int(sum(p.size for p in make(
                             np.random.default_rng(0)).parameters))}

    k = x.shape[1]
    for h in sorted({hidden, 128}):
        run(f"weights {k}-{h}-1, {bits} bits", lambda rng, h=h: WeightNetwork(k, h, bits, rng),
            (0.003, 0.01))
    run(f"float MLP {k}-256-256-1", lambda rng: DeepNetwork(k, 256, rng), (0.001,))
    run(f"spline KAN {k}-{hidden}-1, 8 intervals", lambda rng: SplineNetwork(k, hidden, 8, rng),
        (0.01,))
    figures.update(boosting(x, y, train, valid, test, seed))
    return figures


def boosting(x, y, train, valid, test, seed):
    try:
        from sklearn.ensemble import HistGradientBoostingRegressor
    except ImportError:
        print("python3-sklearn is not installed: no boosting", file=sys.stderr)
        return {}
    figures, tuned, begin = {}, [], time.time()
    for settings in ({}, {"learning_rate": 0.05, "max_iter": 1000, "max_leaf_nodes": 31},
                     {"learning_rate": 0.05, "max_iter": 1000, "max_leaf_nodes": 63,
                      "min_samples_leaf": 10, "l2_regularization": 1.0},
                     {"learning_rate": 0.03, "max_iter": 2000, "max_leaf_nodes": 31,
                      "l2_regularization": 1.0}):
        model = HistGradientBoostingRegressor(random_state=seed, early_stopping=bool(settings),
                                              **settings)
        model.fit(x[train], y[train])
        errors = tuple(float(np.mean((model.predict(x[r]) - y[r]) ** 2)) for r in (valid, test))
        if not settings:
            figures["HistGradientBoosting"] = {"mse": errors[1], "seconds": time.time() - begin}
        tuned.append(errors)
    figures["HistGradientBoosting, tuned"] = {"mse": best_of(tuned)[1],
                                              "seconds": time.time() - begin}
    return figures


def summary(runs):
    """Mean and 95 % interval (Student's t, 10 runs: 2.262) of each peer's figures."""
    out = {}
    for name in runs[0]:
        errors = np.array([run[name]["mse"] for run in runs])
        half = 2.262 * errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else 0.0
        out[name] = {**runs[0][name], "mse": round(float(errors.mean()), 4),
                     "interval": round(float(half), 4), "runs": len(errors)}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--set", default="california", choices=("california", "abalone"))
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=8)
    a = parser.parse_args()
    x, y = data.california() if a.set == "california" else data.small(a.set)[:2]
    runs = [peers(x.astype(float), y.astype(float), seed, a.epochs, a.bits, a.hidden)
            for seed in range(1, a.seeds + 1)]
    print(json.dumps({"set": a.set, "rows": len(x), "peers": summary(runs)}, indent=1))


if __name__ == "__main__":
    main()
