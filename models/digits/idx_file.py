"""MNIST's IDX format, gzipped."""

import gzip
import struct


def write_idx(path, values):
    """values: an array of bytes. mtime 0 and no name keep the compressed bytes the same in every run."""
    head = struct.pack(f">I{values.ndim}I", 0x800 + values.ndim, *values.shape)
    with open(path, "wb") as file:
        with gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(head + values.tobytes())
