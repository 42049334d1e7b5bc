#!/usr/bin/python3
"""Measures the f32 accuracy of the committed files over prompts.tsv. Needs Debian's python3-numpy.

This is a second implementation on purpose: it shares no line with network.py and reads nothing but
config.json, model.safetensors, tokenizer.bin and prompts.tsv, as lutdb does. Every answer is
generated greedily, token by token, until the end token. With --show N it prints N answers as well.
"""

import argparse
import json
import pathlib
import struct
import sys

import numpy

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import safetensors_file


def read_tokenizer():
    content, pieces, at = (HERE / "tokenizer.bin").read_bytes(), [], 4
    while at < len(content):
        _, length = struct.unpack_from("<fi", content, at)
        pieces.append(content[at + 8 : at + 8 + length].decode())
        at += 8 + length
    return pieces


def rms_norm(x, weight, epsilon):
    return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + epsilon) * weight


def rotate(heads, rates):
    """heads is [batch, position, head, width]; dimension i turns with dimension i + width / 2."""
    angles = numpy.arange(heads.shape[1], dtype=numpy.float32)[:, None, None] * rates
    half = heads.shape[-1] // 2
    low, high = heads[..., :half], heads[..., half:]
    cosine, sine = numpy.cos(angles), numpy.sin(angles)
    return numpy.concatenate([low * cosine - high * sine, high * cosine + low * sine], -1)


def attention(config, tensors, prefix, x):
    width = tensors[prefix + "q_proj.weight"].shape[0] // config["num_attention_heads"]
    rates = config["rope_theta"] ** (-numpy.arange(0, width, 2) / width)
    rates = rates.astype(numpy.float32)

    def heads_of(name):
        values = x @ tensors[prefix + name + "_proj.weight"].T
        return values.reshape(*x.shape[:2], -1, width)

    query, key = rotate(heads_of("q"), rates), rotate(heads_of("k"), rates)
    value = heads_of("v")
    group = config["num_attention_heads"] // config["num_key_value_heads"]
    mixed = numpy.empty_like(query)
    causal = numpy.tril(numpy.ones((x.shape[1], x.shape[1]), bool))
    for head in range(config["num_attention_heads"]):
        shared = head // group
        scores = query[:, :, head] @ key[:, :, shared].transpose(0, 2, 1)
        scores = numpy.where(causal, scores / numpy.float32(width) ** 0.5, -numpy.inf)
        weights = numpy.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed[:, :, head] = weights @ value[:, :, shared]
    return mixed.reshape(*x.shape[:2], -1) @ tensors[prefix + "o_proj.weight"].T


def last_logits(config, tensors, ids):
    epsilon = numpy.float32(config["rms_norm_eps"])
    x = tensors["model.embed_tokens.weight"][ids]
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}."
        normed = rms_norm(x, tensors[layer + "input_layernorm.weight"], epsilon)
        x = x + attention(config, tensors, layer + "self_attn.", normed)
        normed = rms_norm(x, tensors[layer + "post_attention_layernorm.weight"], epsilon)
        gate = normed @ tensors[layer + "mlp.gate_proj.weight"].T
        inner = gate / (1 + numpy.exp(-gate)) * (normed @ tensors[layer + "mlp.up_proj.weight"].T)
        x = x + inner @ tensors[layer + "mlp.down_proj.weight"].T
    last = rms_norm(x[:, -1], tensors["model.norm.weight"], epsilon)
    return last @ tensors["model.embed_tokens.weight"].T


def complete(config, tensors, pieces, prompts):
    """Greedy answers to prompts of one length, which is what lets them go through as one batch."""
    id_of = {piece: index for index, piece in enumerate(pieces)}
    encode = lambda text: [config["bos_token_id"], id_of[" "]] + [id_of.get(c, 0) for c in text]
    ids = numpy.array([encode(prompt) for prompt in prompts])
    answers, open_ended = [""] * len(prompts), numpy.ones(len(prompts), bool)
    while open_ended.any() and ids.shape[1] < config["max_position_embeddings"]:
        chosen = last_logits(config, tensors, ids).argmax(-1)
        open_ended &= (chosen != config["eos_token_id"]) & (chosen != config["bos_token_id"])
        for index in numpy.flatnonzero(open_ended):
            answers[index] += pieces[chosen[index]]
        ids = numpy.concatenate([ids, chosen[:, None]], 1)
    return answers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    config = json.loads((HERE / "config.json").read_text())
    tensors = safetensors_file.read(HERE / "model.safetensors")
    pieces = read_tokenizer()
    lines = (HERE / "prompts.tsv").read_text().splitlines()
    wanted = dict(line.split("\t") for line in lines)
    got = {}
    for length in sorted({len(prompt) for prompt in wanted}):
        alike = [prompt for prompt in wanted if len(prompt) == length]
        got.update(zip(alike, complete(config, tensors, pieces, alike)))
    for sign in "+-":
        asked = [prompt for prompt in wanted if sign in prompt]
        right = sum(got[prompt] == wanted[prompt] for prompt in asked)
        print(f"{sign}: {right} of {len(asked)} right")
    for prompt in list(wanted)[: options.show]:
        print(prompt + got[prompt])
    for prompt in wanted:
        if got[prompt] != wanted[prompt]:
            print(f"wrong: {prompt}{got[prompt]}, where {wanted[prompt]} is right")
    right = sum(got[prompt] == wanted[prompt] for prompt in wanted)
    print(f"{right} of {len(wanted)} right, {100 * right / len(wanted):.1f} %")


if __name__ == "__main__":
    main()
