"""Reads and writes the safetensors files of this folder, without the safetensors package.

The layout is small enough to write by hand, and doing so keeps the scripts to two Debian packages:
python3-numpy and python3-torch. A file is an 8-byte little-endian header length, a JSON header
padded with spaces so that the data starts on a multiple of 8 bytes, then the tensors end to end.
"""

import json
import struct

import numpy


def write(path, tensors):
    """Writes float32 arrays, in the order of the dictionary, as dtype F32."""
    header, offset, blobs = {}, 0, []
    for name, array in tensors.items():
        blob = numpy.ascontiguousarray(array, dtype="<f4").tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(blob)],
        }
        offset += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blobs))


def read(path):
    """Returns the tensors of a file that holds F32 alone, by name."""
    with open(path, "rb") as file:
        content = file.read()
    (header_bytes,) = struct.unpack_from("<Q", content)
    data_start = 8 + header_bytes
    tensors = {}
    for name, entry in json.loads(content[8:data_start]).items():
        if name == "__metadata__":
            continue
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, and only F32 is read here")
        begin, end = entry["data_offsets"]
        flat = numpy.frombuffer(content[data_start + begin : data_start + end], dtype="<f4")
        tensors[name] = flat.reshape(entry["shape"])
    return tensors
