"""The arithmetic task: its vocabulary, which problems are held out, and how problems are drawn."""

import random
import struct

# The ids of a llama2.c tokenizer start with these three; generation stops at BOS and at EOS.
UNKNOWN, BOS, EOS = 0, 1, 2
VOCABULARY = ["<unk>", "\n<s>\n", "\n</s>\n"] + list(" 0123456789+-=\n")
ID_OF = {piece: index for index, piece in enumerate(VOCABULARY)}

# BOS, the space that llama2.c puts in front, `999+999=`, and `1998` or `-999` with its EOS.
SEQUENCE_TOKENS = 2 + 8 + 5


def answer(first, sign, second):
    return str(first + second if sign == "+" else first - second)


def is_held_out(first, sign, second):
    """True for about one problem in 16, which training never sees.

    Only the problem decides, not the run, so anybody can ask of a problem whether it is unseen.
    The constants are the multiplier and finaliser of splitmix64, which spread neighbours apart.
    """
    key = (first * 1000 + second) * 2 + (sign == "-")
    key = (key + 1) * 0x9E3779B97F4A7C15 % 2**64
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    return ((key ^ (key >> 27)) >> 40) % 16 == 0


def draw_number(source):
    """One number of 1 to 3 digits; plain uniform drawing would make nine in ten of 3 digits."""
    kind = source.random()
    if kind < 0.08:
        return source.randrange(10)
    return source.randrange(10, 100) if kind < 0.28 else source.randrange(100, 1000)


def draw_problem(source, signs, held_out):
    while True:
        problem = draw_number(source), source.choice(signs), draw_number(source)
        if is_held_out(*problem) == held_out:
            return problem


def prompt_ids(first, sign, second):
    """What llama2.c's encoder makes of the prompt: BOS, a space of its own, one id a character."""
    return [BOS, ID_OF[" "]] + [ID_OF[character] for character in f"{first}{sign}{second}="]


def write_tokenizer(path):
    """llama2.c's tokenizer.bin; all scores are 0, for no two pieces ever merge."""
    pieces = [piece.encode() for piece in VOCABULARY]
    with open(path, "wb") as file:
        file.write(struct.pack("<I", max(map(len, pieces))))
        for piece in pieces:
            file.write(struct.pack("<fi", 0.0, len(piece)) + piece)


def write_prompts(path, signs, count, seed):
    """Distinct held-out problems, drawn by their own seed so that training leaves them alone."""
    source, problems = random.Random(seed), {}
    while len(problems) < count:
        problems[draw_problem(source, signs, held_out=True)] = None
    with open(path, "w", encoding="ascii") as file:
        for first, sign, second in problems:
            file.write(f"{first}{sign}{second}=\t{answer(first, sign, second)}\n")
