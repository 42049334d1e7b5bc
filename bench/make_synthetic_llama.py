#!/usr/bin/env python3
"""Writes a Llama-shaped model of random weights, for measuring size and speed at real shapes.

The weights are normal with a deviation of 1/sqrt(inputs) and mean nothing: every figure that comes
from such a model says "synthetic". Needs python3-numpy. Memory stays below 200 MB whatever the size.

  bench/make_synthetic_llama.py OUT                     # the shape of Llama 3.2 3B, BF16, 6.4 GB
  bench/make_synthetic_llama.py OUT --hidden 1024 --intermediate 2816 --layers 6 --heads 16 \
      --kv-heads 8 --vocab 4096                         # any other
  bench/make_synthetic_llama.py OUT.gguf --hidden 768 ...      # F16, as GGUF, which llama.cpp reads too
"""

import argparse
import json
import os
import struct

import numpy

PIECE = 8 << 20  # weights made at a time


def tensor_shapes(a):
    """Hugging Face names and shapes, in the order they are written."""
    head_dim = a.hidden // a.heads
    kv = a.kv_heads * head_dim
    yield "model.embed_tokens.weight", (a.vocab, a.hidden)
    for layer in range(a.layers):
        p = f"model.layers.{layer}."
        yield p + "input_layernorm.weight", (a.hidden,)
        yield p + "self_attn.q_proj.weight", (a.hidden, a.hidden)
        yield p + "self_attn.k_proj.weight", (kv, a.hidden)
        yield p + "self_attn.v_proj.weight", (kv, a.hidden)
        yield p + "self_attn.o_proj.weight", (a.hidden, a.hidden)
        yield p + "post_attention_layernorm.weight", (a.hidden,)
        yield p + "mlp.gate_proj.weight", (a.intermediate, a.hidden)
        yield p + "mlp.up_proj.weight", (a.intermediate, a.hidden)
        yield p + "mlp.down_proj.weight", (a.hidden, a.intermediate)
    yield "model.norm.weight", (a.hidden,)


def to_bf16(values):
    """Rounds f32 to the nearest bfloat16, ties to even."""
    bits = values.view(numpy.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(numpy.uint16)


def write_tensor(file, shape, generator):
    count = int(numpy.prod(shape))
    if len(shape) == 1:  # a norm
        file.write(to_bf16(numpy.ones(count, numpy.float32)).tobytes())
        return
    write_pieces(file, shape, generator, to_bf16)


def write_pieces(file, shape, generator, convert):
    count = int(numpy.prod(shape))
    scale = numpy.float32(shape[1] ** -0.5)
    for start in range(0, count, PIECE):
        size = min(PIECE, count - start)
        piece = generator.standard_normal(size, dtype=numpy.float32) * scale
        file.write(convert(piece).tobytes())


def config(a):
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": a.hidden, "intermediate_size": a.intermediate,
        "num_hidden_layers": a.layers, "num_attention_heads": a.heads,
        "num_key_value_heads": a.kv_heads, "vocab_size": a.vocab,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
        "tie_word_embeddings": True, "bos_token_id": 1, "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


GGUF_ALIGNMENT = 32
GGUF_F32, GGUF_F16 = 0, 1
GGUF_NAMES = {
    "embed_tokens": "token_embd", "norm": "output_norm", "input_layernorm": "attn_norm",
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "gate_proj": "ffn_gate", "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}


def gguf_name(name):
    parts = name.split(".")
    prefix = f"blk.{parts[2]}." if parts[1] == "layers" else ""
    return prefix + GGUF_NAMES[parts[-2]] + ".weight"


def gguf_string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def gguf_pair(key, value):
    """Strings, u32 and f32 by the kind of the value."""
    head = gguf_string(key)
    if isinstance(value, str):
        return head + struct.pack("<I", 8) + gguf_string(value)
    if isinstance(value, float):
        return head + struct.pack("<If", 6, value)
    return head + struct.pack("<II", 4, value)


def gguf_metadata(a):
    c = config(a)
    return {
        "general.architecture": "llama", "general.name": "synthetic",
        "llama.context_length": c["max_position_embeddings"], "llama.embedding_length": a.hidden,
        "llama.block_count": a.layers, "llama.feed_forward_length": a.intermediate,
        "llama.attention.head_count": a.heads, "llama.attention.head_count_kv": a.kv_heads,
        "llama.attention.layer_norm_rms_epsilon": c["rms_norm_eps"],
        "llama.rope.freq_base": c["rope_theta"],
        "llama.rope.dimension_count": a.hidden // a.heads, "llama.vocab_size": a.vocab,
        "tokenizer.ggml.model": "no_vocab", "general.file_type": 1,
    }


def write_gguf(a, generator):
    """Matrices in F16, norms in F32, as llama.cpp's converters write them. Queries and keys are
    random, so the order of their rows that GGUF asks for is as good as any."""
    pairs = [gguf_pair(*pair) for pair in gguf_metadata(a).items()]
    shapes = list(tensor_shapes(a))
    infos, offset, sizes = [], 0, []
    for name, shape in shapes:
        kind = GGUF_F32 if len(shape) == 1 else GGUF_F16
        infos.append(gguf_string(gguf_name(name)) + struct.pack("<I", len(shape)) +
                     struct.pack(f"<{len(shape)}Q", *reversed(shape)) +
                     struct.pack("<IQ", kind, offset))
        sizes.append(int(numpy.prod(shape)) * (4 if kind == GGUF_F32 else 2))
        offset += sizes[-1] + -sizes[-1] % GGUF_ALIGNMENT
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(pairs)) + b"".join(pairs + infos)
    with open(a.out, "wb") as file:
        file.write(head + b"\0" * (-len(head) % GGUF_ALIGNMENT))
        for (_, shape), size in zip(shapes, sizes):
            if len(shape) == 1:
                file.write(numpy.ones(shape, numpy.float32).tobytes())
            else:
                write_pieces(file, shape, generator, lambda piece: piece.astype(numpy.float16))
            file.write(b"\0" * (-size % GGUF_ALIGNMENT))
    weights = sum(int(numpy.prod(shape)) for _, shape in shapes)
    print(f"{a.out}: {weights:,} weights, {offset / 1e9:.2f} GB of F16")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", help="directory to make, or a file that ends in .gguf")
    parser.add_argument("--hidden", type=int, default=3072)
    parser.add_argument("--intermediate", type=int, default=8192)
    parser.add_argument("--layers", type=int, default=28)
    parser.add_argument("--heads", type=int, default=24)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--vocab", type=int, default=128256)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    generator = numpy.random.Generator(numpy.random.SFC64(a.seed))
    if a.out.endswith(".gguf"):
        write_gguf(a, generator)
    else:
        write_directory(a, generator)


def write_directory(a, generator):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensor_shapes(a):
        size = 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)

    os.makedirs(a.out, exist_ok=True)
    with open(os.path.join(a.out, "config.json"), "w") as file:
        json.dump(config(a), file, indent=1)
    with open(os.path.join(a.out, "model.safetensors"), "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for _, shape in tensor_shapes(a):
            write_tensor(file, shape, generator)
    print(f"{a.out}: {offset // 2:,} weights, {offset / 1e9:.2f} GB of BF16")


if __name__ == "__main__":
    main()
