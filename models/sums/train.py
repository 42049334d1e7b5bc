#!/usr/bin/python3
"""Trains the sums model from nothing and writes every file of this folder that a model needs.

Needs Debian's python3-torch and python3-numpy; with libopenblas0-pthread as well it is about three
times as fast. With it the two stages take about 10 and 20 minutes on one core; set
OPENBLAS_NUM_THREADS=1 to keep to one. No data comes from outside: the problems are drawn here, by
fixed seeds. Another BLAS or processor rounds differently and so ends at slightly other weights.
"""

import argparse
import json
import pathlib
import random
import sys
import time
import typing

import torch
from torch.nn import functional

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import safetensors_file
import task
from muon import Muon
from network import CONFIG, InputCoding, Llama

SEED = 20
BATCH = 128


class Stage(typing.NamedTuple):
    steps: int
    rate: float  # Muon's; Adam's is a fixed share of it
    hold: float  # the share of the steps before the rate falls
    signs: str  # what problems are drawn from, evenly
    levels: typing.Optional[int]  # of the grid that inputs of linear layers are rounded to


# The first stage learns both operations. The second goes on where subtraction, the harder one, is
# still often wrong, and makes the network bear coarse inputs: 7 bits, to hold at 8 with a margin.
STAGES = [Stage(6000, 0.02, 0.5, "+-", None), Stage(8000, 0.012, 0.15, "+--", 128)]


def batch_of(source, count, signs):
    """Token ids [count, SEQUENCE_TOKENS], and which of them the model has to predict."""
    rows, wanted = [], []
    for _ in range(count):
        problem = task.draw_problem(source, signs, held_out=False)
        prompt = task.prompt_ids(*problem)
        reply = [task.ID_OF[digit] for digit in task.answer(*problem)] + [task.EOS]
        padding = task.SEQUENCE_TOKENS - len(prompt) - len(reply)
        rows.append(prompt + reply + [task.EOS] * padding)
        wanted.append([False] * len(prompt) + [True] * len(reply) + [False] * padding)
    return torch.tensor(rows), torch.tensor(wanted)


@torch.no_grad()
def exactly_right(model, source, count, sign):
    """The share of fresh training problems whose whole answer is right.

    Feeding the right answer and asking whether each next token is right is the same as greedy
    generation, for the first wrong token already makes the answer wrong. Held-out problems are
    for check.py alone: nothing here may steer by them.
    """
    model.eval()
    ids, wanted = batch_of(source, count, sign)
    hit = model(ids[:, :-1]).argmax(-1) == ids[:, 1:]
    model.train()
    return (hit | ~wanted[:, 1:]).all(1).float().mean().item()


def load(model):
    tensors = safetensors_file.read(HERE / "model.safetensors")
    for name, parameter in model.named_parameters():
        parameter.data.copy_(torch.from_numpy(tensors[name].copy()))


def save(model):
    tensors = {name: value.detach().numpy() for name, value in model.named_parameters()}
    safetensors_file.write(HERE / "model.safetensors", tensors)


def train(model, stage, seed):
    # Each stage draws by its own seeds, so that the second can run alone on the first one's file.
    source, probe = random.Random(seed), random.Random(seed + 1)
    for module in model.modules():
        if isinstance(module, InputCoding):
            module.levels = stage.levels
    embedding = model.model.embed_tokens.weight
    matrices = [p for p in model.model.layers.parameters() if p.dim() == 2]
    others = [embedding] + [p for p in model.parameters() if p.dim() == 1]
    # The embedding is a table, not a map, so it takes Adam's steps, and so do the norms.
    optimizers = [
        (Muon(matrices, lr=stage.rate, weight_decay=0.1), stage.rate),
        (torch.optim.Adam(others, lr=stage.rate, betas=(0.9, 0.98)), 0.15 * stage.rate),
    ]
    begun, running = time.time(), 0.0
    for step in range(stage.steps):
        # A short warm-up, a plateau, and a straight fall to nothing.
        left = (1 - step / stage.steps) / (1 - stage.hold)
        for optimizer, peak in optimizers:
            optimizer.param_groups[0]["lr"] = peak * min(1.0, (step + 1) / 100, left)
        ids, wanted = batch_of(source, BATCH, stage.signs)
        wanted = wanted[:, 1:]
        loss = functional.cross_entropy(model(ids[:, :-1])[wanted], ids[:, 1:][wanted])
        model.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer, _ in optimizers:
            optimizer.step()
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        if (step + 1) % 200 == 0:
            plus, minus = (exactly_right(model, probe, 500, sign) for sign in "+-")
            print(f"step {step + 1} loss {running:.4f} right + {plus:.3f} - {minus:.3f} "
                  f"after {time.time() - begun:.0f} s", flush=True)
            if (step + 1) % 1000 == 0:
                save(model)
    save(model)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from-stage", type=int, default=1, choices=[1, 2],
                        help="2 takes the written model.safetensors for the first stage's result")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    task.write_tokenizer(HERE / "tokenizer.bin")
    task.write_prompts(HERE / "prompts.tsv", "+-", 1000, SEED + 2)
    (HERE / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    model = Llama(CONFIG)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    if options.from_stage == 2:
        load(model)
    for index in range(options.from_stage - 1, len(STAGES)):
        print(f"stage {index + 1}: {STAGES[index]}", flush=True)
        train(model, STAGES[index], SEED + 10 * index)


if __name__ == "__main__":
    main()
