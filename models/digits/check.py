#!/usr/bin/python3
"""Measures the f32 test accuracy of the committed files alone. Needs Debian's python3-numpy."""

import gzip
import json
import pathlib
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import safetensors_file


def read_idx(name):
    content = gzip.decompress((HERE / name).read_bytes())
    dimensions = content[3]
    shape = numpy.frombuffer(content, ">u4", dimensions, 4)
    return numpy.frombuffer(content, numpy.uint8, -1, 4 + 4 * dimensions).reshape(shape)


def forward(graph, tensors, x):
    for op in graph["ops"]:
        if op["op"] == "linear":
            x = x @ tensors[op["weight"]].T + tensors[op["bias"]]
        elif op["op"] == "relu":
            x = numpy.maximum(x, 0)
        elif op["op"] == "softmax":
            raised = numpy.exp(x - x.max(1, keepdims=True))
            x = raised / raised.sum(1, keepdims=True)
        else:
            raise ValueError(f"unknown op {op['op']}")
    return x


def main():
    graph = json.loads((HERE / "digits.graph.json").read_text())
    tensors = safetensors_file.read(HERE / "digits.safetensors")
    images, labels = read_idx("test-images.idx3.gz"), read_idx("test-labels.idx1.gz")
    inputs = images.reshape(len(images), -1) / numpy.float32(255)
    right = int((forward(graph, tensors, inputs).argmax(1) == labels).sum())
    print(f"{right} of {len(labels)} right, {100 * right / len(labels):.1f} %")


if __name__ == "__main__":
    main()
