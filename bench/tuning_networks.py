"""Networks of weights and of splines that tuned tables are compared with, in NumPy alone.

All have `parameters`, `forward(x, learning)` -> rows x outputs, and `gradients(by the output)`;
`fit` trains any of them with Adam and a falling rate, and stops early on validation rows.
"""

import numpy as np


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
    """inputs - hidden (ReLU) - outputs; bits None: float. Inputs and activations on even grids with
    straight-through gradients, the hidden one's range the largest activation seen lately."""

    code_inputs = True

    def __init__(self, inputs, hidden, bits, rng, outputs=1):
        self.bits = bits
        self.parameters = [rng.normal(size=(inputs, hidden)) * np.sqrt(2 / inputs),
                           rng.normal(size=hidden) * 0.1,
                           rng.normal(size=(hidden, outputs)) * np.sqrt(1 / hidden),
                           np.zeros(outputs)]
        self.range = 1.0

    def code(self, x, low, high):
        if self.bits is None:
            return x
        steps = 2 ** self.bits - 1 - (1 if low < 0 else 0)
        unit = (high - low) / steps
        return np.clip(np.round((x - low) / unit), 0, steps) * unit + low

    def forward(self, x, learning=False):
        w1, b1, w2, b2 = self.parameters
        self.x = self.code(x, -self.input_range, self.input_range) if self.code_inputs else x
        self.h = np.maximum(self.x @ w1 + b1, 0)
        if learning:
            self.range = 0.99 * self.range + 0.01 * np.quantile(self.h, 0.999)
        self.inside = (self.h > 0) & ((self.h < self.range) | (self.bits is None))
        self.a = self.code(self.h, 0.0, max(self.range, 1e-3))
        return self.a @ w2 + b2

    def gradients(self, g):
        w2 = self.parameters[2]
        back = (g @ w2.T) * self.inside
        return [self.x.T @ back, back.sum(0), self.a.T @ g, g.sum(0)]


class FlatNetwork(WeightNetwork):
    """inputs - outputs, inputs coded as above."""

    def __init__(self, inputs, outputs, bits, rng):
        del rng  # a convex problem
        self.bits = bits
        self.parameters = [np.zeros((inputs, outputs)), np.zeros(outputs)]

    def forward(self, x, learning=False):
        self.x = self.code(x, -self.input_range, self.input_range)
        return self.x @ self.parameters[0] + self.parameters[1]

    def gradients(self, g):
        return [self.x.T @ g, g.sum(0)]


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
        return self.h2 @ w3 + b3

    def gradients(self, g):
        _, _, w2, _, w3, _ = self.parameters
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
        return np.einsum("rhk,hko->ro", self.b2, c2) + bias[0]

    def gradients(self, g):
        g = g[:, 0]
        c2 = self.parameters[1][:, :, 0]
        back = g[:, None] * np.einsum("rhk,hk->rh", self.d2, c2) / self.reach
        return [np.einsum("rik,rh->ikh", self.b1, back),
                np.einsum("rhk,r->hk", self.b2, g)[:, :, None], np.array([g.sum()])]


class Squares:
    """Mean squared error of targets brought to mean 0 and deviation 1."""

    def __init__(self, y, train):
        self.size = y[train].std()
        self.goal = ((y - y[train].mean()) / self.size)[:, None]

    def gradient(self, out, rows):
        return 2 * (out - self.goal[rows]) / len(rows)

    def figures(self, out, rows):
        """What decides (lower is better), and what is reported."""
        error = float(np.mean((out - self.goal[rows]) ** 2) * self.size ** 2)
        return error, error


class Classes:
    """Cross-entropy; reports accuracy."""

    def __init__(self, y):
        self.y = y

    def shares(self, out):
        e = np.exp(out - out.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def gradient(self, out, rows):
        g = self.shares(out)
        g[np.arange(len(rows)), self.y[rows]] -= 1
        return g / len(rows)

    def figures(self, out, rows):
        right = self.shares(out)[np.arange(len(rows)), self.y[rows]]
        return (float(-np.log(right + 1e-12).mean()),
                float((out.argmax(1) == self.y[rows]).mean()))


def fit(network, x, goal, train, valid, test, rng, rate, epochs, batch=128):
    """Returns (what decided, on validation rows; the figure on test rows) of the best epoch."""
    adam = Adam(network.parameters, rate)
    batch = min(batch, len(train))
    batches = len(train) // batch
    best = (np.inf, np.inf)
    for epoch in range(epochs):
        order = rng.permutation(train)
        for i in range(batches):
            rows = order[i * batch:(i + 1) * batch]
            out = network.forward(x[rows], True)
            adam.step(network.gradients(goal.gradient(out, rows)),
                      (epoch * batches + i) / (epochs * batches))
        decides = goal.figures(network.forward(x[valid]), valid)[0]
        if decides < best[0]:
            best = (decides, goal.figures(network.forward(x[test]), test)[1])
    return best
