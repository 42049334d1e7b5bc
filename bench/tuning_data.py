"""Public data sets as arrays, split by a seed: what the benches of tuning learn from.

The folder is LUTDB_TEST_DATA, or ../shared/data from the repository's root.
"""

import gzip
import io
import os
import tarfile
import wave

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def folder():
    return os.environ.get("LUTDB_TEST_DATA", os.path.join(ROOT, "..", "shared", "data"))


def _lines(name):
    with open(os.path.join(folder(), "tabular", name), encoding="utf-8") as file:
        return file.read().splitlines()


def california():
    """Eight columns and three ratios; the target in 100,000 $."""
    rows = []
    for line in _lines("california_housing.csv")[1:]:
        fields = line.split(",")
        if len(fields) == 10 and all(fields[:9]):
            rows.append([float(field) for field in fields[:9]])
    table = np.array(rows)
    _, _, _, rooms, bedrooms, people, households, _ = table[:, :8].T
    inputs = np.c_[table[:, :8], rooms / households, bedrooms / rooms, people / households]
    return inputs.astype(np.float32), (table[:, 8] / 1e5).astype(np.float32)


def small(name):
    """wine, abalone, banknote or iris: inputs, targets, number of classes (0: real values)."""
    if name == "abalone":
        rows = [line.split(",") for line in _lines("abalone.csv") if line.count(",") == 8]
        rows = [row for row in rows if row[1][:1].isdigit()]
        inputs = [[float(row[0] == "M"), float(row[0] == "F")] + [float(v) for v in row[1:8]]
                  for row in rows]
        return (np.array(inputs, np.float32), np.array([float(r[8]) for r in rows], np.float32), 0)
    file = {"wine": "wine.csv", "banknote": "banknote_authentication.csv", "iris": "iris.csv"}[name]
    rows = []
    for line in _lines(file):
        fields = line.split(",")
        try:
            rows.append(([float(v) for v in fields[:-1]],
                         fields[-1]))
        except ValueError:
            continue
    names = sorted({label for _, label in rows})
    labels = np.array([names.index(label) for _, label in rows])
    return np.array([row for row, _ in rows], np.float32), labels, len(names)


def split(count, seed, fractions):
    """Disjoint lists of rows, as many of each as its fraction says; the last takes what is left."""
    order = np.random.default_rng(seed).permutation(count)
    parts, begin = [], 0
    for fraction in fractions[:-1]:
        end = begin + int(round(count * fraction))
        parts.append(order[begin:end])
        begin = end
    return parts + [order[begin:]]


def ranks(train, rows):
    """Each input as its rank among the training rows, in -1 .. 1: even levels of a rank are
    quantiles of the input."""
    out = np.empty(rows.shape, np.float32)
    for k in range(rows.shape[1]):
        column = np.sort(train[:, k])
        low = np.searchsorted(column, rows[:, k], "left")
        high = np.searchsorted(column, rows[:, k], "right")
        out[:, k] = (low + high) / len(column) - 1
    return out


def mnist(name):
    """'train' (10,000) or 'test' (5,000): pixels 0 .. 255 and labels."""
    files = {"train": ("train10k-images-idx3-ubyte.gz", "train10k-labels-idx1-ubyte.gz"),
             "test": ("t10k_public-images-idx3-ubyte.gz", "t10k_public-labels-idx1-ubyte.gz")}[name]
    arrays = []
    for file, header in zip(files, (16, 8)):
        with gzip.open(os.path.join(folder(), "vision", "mnist", file)) as stream:
            arrays.append(np.frombuffer(stream.read(), np.uint8, offset=header))
    return arrays[0].reshape(-1, 784), arrays[1].astype(np.int64)


def spoken_digits(frames=16, bands=16, window=256):
    """Log spectra of the recordings, their digits, and for each (digit, speaker)."""
    edges = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), bands + 2)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    bins = np.arange(window // 2 + 1) * 8000 / window
    filters = np.array([np.interp(bins, hertz[b:b + 3], [0, 1, 0]) for b in range(bands)])
    rows, labels, groups = [], [], []
    with tarfile.open(os.path.join(folder(), "audio", "fsdd", "fsdd_train_2700.tar")) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if not member.name.endswith(".wav"):
                continue
            with wave.open(io.BytesIO(tar.extractfile(member).read())) as sound:
                samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(float)
            samples = np.pad(samples, (0, max(0, window - len(samples))))
            starts = np.linspace(0, len(samples) - window, frames).astype(int)
            pieces = samples[starts[:, None] + np.arange(window)] * np.hanning(window)
            power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2 / window
            row = np.log(1e-3 + power @ filters.T)
            rows.append((row - row.mean()).ravel())
            digit, speaker = os.path.basename(member.name).split("_")[:2]
            labels.append(int(digit))
            groups.append(f"{digit}_{speaker}")
    return np.array(rows, np.float32), np.array(labels), np.array(groups)


