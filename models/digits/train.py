#!/usr/bin/python3
"""Trains the digit classifier on digits it draws itself, and writes every file of this folder.

Needs Debian's python3-torch and python3-numpy. The run takes about half a minute on one core, most
of it spent drawing. The same versions of both packages on the same kind of processor give the same
files; elsewhere the last bits of the weights differ, and the test images do not.
"""

import json
import pathlib
import sys
import time

import numpy
import torch
from torch.nn import functional

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import safetensors_file
from idx_file import write_idx
from strokes import SIDE, draw

SEED = 7
HIDDEN, CLASSES = 64, 10
TRAIN_COUNT, TEST_COUNT = 20000, 1000
EPOCHS, BATCH = 6, 100

GRAPH = {
    "format": "lutdb-graph-1",
    "name": "digits",
    "input": {"width": SIDE * SIDE, "range": [0, 1]},
    "ops": [
        {"op": "linear", "weight": "hidden.weight", "bias": "hidden.bias"},
        {"op": "relu"},
        {"op": "linear", "weight": "output.weight", "bias": "output.bias"},
        {"op": "softmax"},
    ],
}


def train(images, labels):
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    model = torch.nn.Sequential()
    model.add_module("hidden", torch.nn.Linear(SIDE * SIDE, HIDDEN))
    model.add_module("relu", torch.nn.ReLU())
    model.add_module("output", torch.nn.Linear(HIDDEN, CLASSES))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs, targets = torch.from_numpy(images / numpy.float32(255)), torch.from_numpy(labels).long()
    for epoch in range(EPOCHS):
        order, total = torch.randperm(len(inputs)), 0.0
        for begin in range(0, len(inputs), BATCH):
            chosen = order[begin : begin + BATCH]
            loss = functional.cross_entropy(model(inputs[chosen]), targets[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        print(f"epoch {epoch + 1} loss {total / len(inputs):.4f}", flush=True)
    return {name: value.detach().numpy() for name, value in model.named_parameters()}


def main():
    begun = time.time()
    # Two seeds, so that a change to the training set leaves the committed test set alone.
    images, labels = draw(numpy.random.default_rng(SEED), TRAIN_COUNT)
    test_images, test_labels = draw(numpy.random.default_rng(SEED + 1), TEST_COUNT)
    print(f"drew {TRAIN_COUNT + TEST_COUNT} digits in {time.time() - begun:.0f} s", flush=True)
    safetensors_file.write(HERE / "digits.safetensors", train(images, labels))
    (HERE / "digits.graph.json").write_text(json.dumps(GRAPH, indent=2) + "\n")
    write_idx(HERE / "test-images.idx3.gz", test_images.reshape(-1, SIDE, SIDE))
    write_idx(HERE / "test-labels.idx1.gz", test_labels)
    print(f"finished after {time.time() - begun:.0f} s; check.py measures the written files")


if __name__ == "__main__":
    main()
