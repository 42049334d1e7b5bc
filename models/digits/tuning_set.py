#!/usr/bin/python3
"""Draws the digits that entries are tuned on, and writes tune-images.idx3.gz and tune-labels.idx1.gz.

They are drawn with a seed of their own, so neither training nor test has seen one. Four greys per
pixel keep the file small: what is coded with two or three bits loses little by it. Needs Debian's
python3-numpy, and about ten seconds.
"""

import pathlib
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from idx_file import write_idx
from strokes import SIDE, draw

SEED, COUNT, GREYS = 9, 12000, 4


def main():
    images, labels = draw(numpy.random.default_rng(SEED), COUNT)
    step = 255 // (GREYS - 1)
    coarse = ((images.astype(int) + step // 2) // step * step).astype(numpy.uint8)
    write_idx(HERE / "tune-images.idx3.gz", coarse.reshape(-1, SIDE, SIDE))
    write_idx(HERE / "tune-labels.idx1.gz", labels)


if __name__ == "__main__":
    main()
