#!/usr/bin/env python3
"""Whole-model speed: tokens per second of lutdb, all tables in the arena, beside llama.cpp.

  ./dev bench --peers                 # once: installs llama.cpp's libraries in build/peers
  ./dev bench model_speed [--json] [--quick] [--only model110,model25_5bit,model25_chunk3]

Each model is Llama-shaped and of random weights, in one F16 GGUF file that both sides start from:
lutdb builds its store from it, llama.cpp's own quantizer makes Q4_K_M and Q8_0 of it. Every engine
is a process of its own (model_speed.h), asked in turn, so that a slow moment of the machine meets
all; an answer during which other programs used the processors is asked for again, a few times.

Checked before anything is timed: lutdb's greedy tokens are the same again and with 2 threads; its
f32 evaluation of the kept weights gives what llama.cpp gives for the F16 file; and every row is in
memory. The largest model needs 16 GB of memory and 17 GB of disk, in a scratch folder that is
removed afterwards. Without llama.cpp the figures of lutdb alone are printed and the others said to
be missing. Ends with 1 when a bound does not hold.
"""

import argparse
import glob
import json
import os
import platform
import random
import shutil
import statistics
import struct
import subprocess
import sys
import time

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
START = time.monotonic()
POSITIONS = 1024   # tokens in the file that engines are fed from
BEFORE = 8         # of context when generation begins
SETTLE_SECONDS = 0.2  # ggml's idle threads spin for about 0.1 s after an answer
RETRIES = 4  # of an answer that something else on the machine disturbed
FILL_SECONDS = 600
CHECKED = 32       # positions whose logits are compared
PROMPT = 512

SHAPE_110 = {"hidden": 768, "intermediate": 2048, "layers": 12, "heads": 12, "vocab": 32000}
SHAPE_25 = {"hidden": 512, "intermediate": 1536, "layers": 6, "heads": 8, "vocab": 8192}
SHAPE_QUICK = {"hidden": 256, "intermediate": 512, "layers": 2, "heads": 4, "vocab": 512}
MODELS = {
    "model110": (SHAPE_110, ["--input-bits", "4", "--chunk", "2"]),
    "model25_5bit": (SHAPE_25, ["--input-bits", "5", "--chunk", "2"]),
    "model25_chunk3": (SHAPE_25, ["--input-bits", "4", "--chunk", "3", "--mirror"]),
}
PEER_NAMES = {"Q4_K_M": "q4km", "Q8_0": "q8_0"}
# (figure, question, what it is)
QUESTIONS = (("gen", "generate {} {}", "tokens generated"),
             ("prompt", "prompt {}", "tokens of a prompt"))


def die(message):
    sys.exit(f"model_speed: {message}")


def say(message):
    print(f"model_speed: {time.monotonic() - START:.0f} s: {message}", file=sys.stderr, flush=True)


class Engine:
    """A process that answers the questions of model_speed.h."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            die(f"{' '.join(self.process.args)} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        return self.answer()

    def undisturbed(self, question):
        """An answer during which nothing else used the processors; if there is none, any."""
        for _ in range(RETRIES):
            others = busy_seconds() - self.processor_seconds()
            answer = self.ask(question)
            others = busy_seconds() - self.processor_seconds() - others
            if others <= 0.02 + 0.05 * answer["seconds"]:  # the kernel counts in steps of 10 ms
                answer["disturbed"] = False
                return answer
            time.sleep(SETTLE_SECONDS)
        answer["disturbed"] = True
        return answer

    def processor_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1]
        user, system = fields.split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def logits(self, count, path):
        self.ask(f"logits {count} {path}")
        values = numpy.fromfile(path, numpy.float32).reshape(count, -1)
        os.remove(path)
        return values

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def machine():
    lines = open("/proc/cpuinfo", encoding="utf-8").read().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {"processor": names[0] if names else platform.machine(), "threads": os.cpu_count(),
            "memory_gib": round(memory_kib("MemTotal") / 2**20, 1), "kernel": platform.release()}


def memory_kib(key):
    for line in open("/proc/meminfo", encoding="utf-8"):
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def busy_seconds():
    """Of all processors together, whoever used them."""
    fields = open("/proc/stat", encoding="utf-8").readline().split()[1:]
    user, nice, system = (int(field) for field in fields[:3])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def disk_bytes(path):
    if os.path.isfile(path):
        return os.lstat(path).st_blocks * 512
    return sum(os.lstat(os.path.join(folder, name)).st_blocks * 512
               for folder, _, names in os.walk(path) for name in names)


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        die(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


def summarize(values):
    values = sorted(values)
    at = lambda share: values[int(share * (len(values) - 1) + 0.5)]
    return {"value": statistics.median(values), "spread": [at(0.25), at(0.75)]}


def relative_error(values, reference):
    return float(numpy.linalg.norm(values - reference) / numpy.linalg.norm(reference))


class Peer:
    """llama.cpp's libraries, and our program that asks them; or why they are missing."""

    def __init__(self, peers, programs):
        self.libraries = os.path.join(peers, "node_modules/@node-llama-cpp/linux-x64",
                                      "bins/linux-x64")
        self.program = os.path.join(programs, "model_speed_llama")
        self.missing = None
        if not glob.glob(os.path.join(self.libraries, "libllama.*")):
            self.missing = "peer not installed (./dev bench --peers)"
        elif not os.path.exists(self.program):
            self.missing = "built without the peer's headers (./dev bench --peers)"

    def quantize(self, source, target, kind):
        if not os.path.exists(target):
            run([self.program, self.libraries, "quantize", source, target, kind])

    def engine(self, model, tokens, threads, flash):
        return Engine([self.program, self.libraries, "run", model, tokens, str(threads), flash])


class Bench:
    def __init__(self, name, options, peer, programs, lutdb):
        self.name, self.options, self.peer = name, options, peer
        self.lutdb, self.driver = lutdb, os.path.join(programs, "model_speed_lutdb")
        shape, self.coding = MODELS[name]
        self.shape = SHAPE_QUICK if options.quick else shape
        self.folder = os.path.join(options.scratch, "quick" if options.quick else "", name)
        self.tokens = os.path.join(self.folder, "tokens.i32")
        self.gguf = os.path.join(self.folder, "model.gguf")
        self.store = os.path.join(self.folder, "store")
        self.figures, self.about, self.greedy = [], {}, None

    # ---- what is measured ----

    def make(self):
        os.makedirs(self.folder, exist_ok=True)
        generator = random.Random(1)
        with open(self.tokens, "wb") as file:
            for _ in range(POSITIONS):
                file.write(struct.pack("<i", generator.randrange(self.shape["vocab"])))
        if not os.path.exists(self.gguf):
            words = [f"--{key}={value}" for key, value in self.shape.items()]
            words.append(f"--kv-heads={self.shape['heads']}")
            run([sys.executable, os.path.join(HERE, "make_synthetic_llama.py"), self.gguf] + words)
        run([self.lutdb, "build", self.gguf, self.store, "--entry", "i8"] + self.coding)
        info = json.loads(run([self.lutdb, "info", self.store, "--json"]))
        stored = sum(self.arena_share(table) for table in info["tables"])
        self.arena_bytes = int(stored * 1.05) + (256 << 20)
        weights = sum(table["inputs"] * table["neurons"] for table in info["tables"])
        self.about = {"disturbed": 0, "weights": weights,
                      "coding": " ".join(self.coding + ["--entry", "i8"]),
                      "raw_bytes": info["raw_bytes"],
                      "read_bytes_per_token": sum(
                          -(-table["inputs"] // table["chunk"]) * table["neurons"]
                          for table in info["tables"])}
        self.kinds = {}
        if self.peer.missing:
            return
        for kind in PEER_NAMES:
            self.kinds[kind] = os.path.join(self.folder, kind + ".gguf")
            self.peer.quantize(self.gguf, self.kinds[kind], kind)

    def arena_share(self, table):
        mirrored = "--mirror" in self.coding
        chunks = -(-table["inputs"] // table["chunk"])
        codes = (table["codes"] + 1) // 2 if mirrored else table["codes"]
        return chunks * codes * (-(-table["neurons"] // 64) * 64)

    def lutdb_engine(self, threads, arena=None):
        return Engine([self.driver, self.store, self.tokens, str(threads),
                       str(self.arena_bytes if arena is None else arena)])

    def warm_engine(self, threads):
        """lutdb with every row in memory and checked: nothing is missing any more."""
        engine, misses = self.lutdb_engine(threads), -1
        engine.ask(f"prompt {PROMPT}")
        start = time.monotonic()
        while time.monotonic() - start < FILL_SECONDS:  # an arena fills as its budget of time allows
            engine.ask(f"generate {BEFORE} 64")
            memory = engine.ask("memory")
            if not memory["arena_owned"]:
                die("the arena is another process's")
            if memory["arena_misses"] == misses:
                return engine
            misses = memory["arena_misses"]
        die(f"rows are still missing from an arena of {self.arena_bytes} bytes: {memory}; "
            "is there enough memory?")

    # ---- correctness ----

    def check(self, engine):
        """Logits beside lutdb's own f32 evaluation of the kept weights, also llama.cpp's of F16."""
        path = os.path.join(self.folder, "logits.f32")
        tables = engine.logits(CHECKED, path)
        plain = self.lutdb_engine(2, "reference")
        reference = plain.logits(CHECKED, path)
        plain.close()
        errors = {"lutdb": relative_error(tables, reference)}
        for kind, model in self.kinds.items():
            errors[kind] = self.peer_error(model, path, reference)
        if not self.peer.missing:
            errors["F16"] = self.peer_error(self.gguf, path, reference)
            if not errors["F16"] < 0.02:
                die(f"llama.cpp's F16 logits are {errors['F16']:.3f} away from lutdb's f32: "
                    "this is not the same model")
        self.about["logits_relative_error"] = errors

    def check_greedy(self, engine, threads):
        for _ in range(2):
            said = engine.ask(f"greedy {BEFORE} 32")["tokens"]
            if said != self.greedy and self.greedy is not None:
                die(f"with {threads} threads greedy sampling says other tokens than before")
            self.greedy = said

    def peer_error(self, model, path, reference):
        engine = self.peer.engine(model, self.tokens, 2, "off")
        values = engine.logits(CHECKED, path)
        engine.close()
        return relative_error(values, reference)

    # ---- speed ----

    def measure(self, threads, ours):
        engines = {"lutdb": ours}
        for kind, model in self.kinds.items():
            for flash in ("on", "off"):
                engines[f"{kind} {flash}"] = self.peer.engine(model, self.tokens, threads, flash)
        generated = 8 if self.options.quick else 64
        for figure, question, what in QUESTIONS:
            count = generated if figure == "gen" else PROMPT
            question = question.format(*((BEFORE, count) if figure == "gen" else (count,)))
            sides = {"lutdb": engines["lutdb"]}
            for kind in self.kinds:
                flash = self.faster(engines, kind, question)
                sides[kind] = engines[f"{kind} {flash}"]
                self.about.setdefault("flash_attention", {})[f"{kind} {figure} {threads}t"] = flash
            self.compare(figure, question, count, what, threads, sides)
        for side, engine in engines.items():
            if not side.endswith("off"):
                self.remember_memory(side.split()[0], engine.ask("memory"))
            engine.close()

    def faster(self, engines, kind, question):
        def seconds(flash):
            time.sleep(SETTLE_SECONDS)
            engine = engines[f"{kind} {flash}"]
            return min(engine.undisturbed(question)["seconds"] for _ in range(3))
        answer = min(("on", "off"), key=seconds)
        time.sleep(SETTLE_SECONDS)
        return answer

    def compare(self, figure, question, count, what, threads, sides):
        rounds = 2 if self.options.quick else self.options.rounds
        if figure == "prompt":  # whose answers take longer
            rounds = (rounds + 1) // 2
        speeds = {side: [] for side in sides}
        for index in range(rounds):
            order = list(sides)
            for side in order[index % len(order):] + order[:index % len(order)]:
                answer = sides[side].undisturbed(question)
                speeds[side].append(count / answer["seconds"])
                self.about["disturbed"] += answer["disturbed"]
                time.sleep(SETTLE_SECONDS)
        for side, values in speeds.items():
            short = PEER_NAMES.get(side, side)
            self.add(f"{self.name}_{figure}_{short}_{threads}t", summarize(values),
                     f"{side}, {what} per second")
        for kind in PEER_NAMES:
            name = f"{self.name}_{figure}_vs_{PEER_NAMES[kind]}_{threads}t"
            bound = 1.0 if (figure, kind, threads) == ("gen", "Q4_K_M", 1) else None
            if kind in speeds:
                ratios = [a / b for a, b in zip(speeds["lutdb"], speeds[kind])]
                self.add(name, summarize(ratios), f"lutdb over {kind}, {what} per second", bound)
            else:
                missing = {"value": None, "spread": None}
                self.add(name, missing, self.peer.missing, bound)

    def add(self, name, summary, what, bound=None):
        figure = {"name": name, **summary, "what": what}
        if bound is not None and not self.options.quick:
            figure["bound"] = f">= {bound:.2f}"
            figure["holds"] = summary["value"] is not None and summary["value"] >= bound
        self.figures.append(figure)

    def remember_memory(self, side, memory):
        disk = {"lutdb": self.store}.get(side) or self.kinds[side]
        total = disk_bytes(disk)
        entry = {"memory_bytes": memory["resident_bytes"], "disk_bytes": total}
        if side == "lutdb":
            arena = disk_bytes(os.path.join(self.store, "arena"))
            entry.update(arena_bytes=memory["arena_bytes"], store_bytes=total - arena,
                         arena_file_bytes=arena)
        self.about.setdefault("engines", {})[side] = entry

    def run(self):
        say(f"{self.name}: making the model")
        self.make()
        if memory_kib("MemAvailable") * 1024 < self.arena_bytes + (2 << 30):
            die(f"{self.name} needs {self.arena_bytes / 1e9:.1f} GB of free memory and 2 more")
        say(f"{self.name}: filling the arena, {self.arena_bytes / 1e9:.1f} GB, and checking")
        self.warm_engine(2).close()  # one thread alone fills slowly, between its tokens
        for threads in self.options.threads:
            engine = self.warm_engine(threads)
            self.check_greedy(engine, threads)
            if "logits_relative_error" not in self.about:
                self.check(engine)
            say(f"{self.name}: measuring with {threads} thread{'s' if threads > 1 else ''}")
            self.measure(threads, engine)
        if not self.options.keep:
            shutil.rmtree(self.folder)


def gigabytes(count):
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def text(report):
    m = report["machine"]
    lines = [f"{m['processor']}, {m['threads']} threads, {m['memory_gib']} GiB; weights synthetic"]
    for name, about in report["models"].items():
        lines.append(f"\n{name}: {about['weights']:,} weights, {about['coding']}; "
                     f"{gigabytes(about['read_bytes_per_token'])} of rows read per token")
        for side, sizes in about.get("engines", {}).items():
            lines.append(f"  {side:8} {gigabytes(sizes['memory_bytes']):>9} of memory, "
                         f"{gigabytes(sizes['disk_bytes']):>9} on disk" +
                         (f" (store {gigabytes(sizes['store_bytes'])}, the rest the arena's file)"
                          if side == "lutdb" else ""))
        if about["disturbed"]:
            lines.append(f"  {about['disturbed']} answers were disturbed by other programs")
        errors = ", ".join(f"{k} {v:.3f}" for k, v in about["logits_relative_error"].items())
        lines.append(f"  relative error of the logits to f32: {errors}")
        for figure in report["figures"]:
            if not figure["name"].startswith(name + "_"):
                continue
            value = "-" if figure["value"] is None else (
                f"{figure['value']:.4g}  ({figure['spread'][0]:.4g} .. {figure['spread'][1]:.4g})")
            bound = figure.get("bound", "")
            verdict = {True: "holds", False: "FAILS"}.get(figure.get("holds"), "")
            lines.append(f"  {figure['name']:34} {value:32} {bound:8} {verdict:6} {figure['what']}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--quick", action="store_true",
                        help="tiny models: shows that everything runs, measures nothing")
    parser.add_argument("--only", default=",".join(MODELS), metavar="MODEL,...")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--keep", action="store_true",
                        help="leave the scratch folder for next time")
    parser.add_argument("--scratch", default=os.path.join(ROOT, "build/bench/model_speed"))
    parser.add_argument("--peers-at", default=os.path.join(ROOT, "build/peers"))
    parser.add_argument("--programs", default=os.path.join(ROOT, "build/release"),
                        help="the build's folder")
    options = parser.parse_args()
    names = options.only.split(",")
    for name in names:
        if name not in MODELS:
            parser.error(f"there is no model '{name}'; there are {', '.join(MODELS)}")
    programs = os.path.join(options.programs, "bench")
    peer = Peer(options.peers_at, programs)
    if peer.missing:
        say(peer.missing)
    report = {"machine": machine(), "quick": options.quick, "figures": [], "models": {}}
    for name in names:
        bench = Bench(name, options, peer, programs, os.path.join(options.programs, "cli/lutdb"))
        bench.run()
        report["figures"] += bench.figures
        report["models"][name] = bench.about
    print(json.dumps(report, indent=1) if options.json else text(report))
    sys.exit(0 if all(figure.get("holds", True) for figure in report["figures"]) else 1)


if __name__ == "__main__":
    main()
