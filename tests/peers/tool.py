"""What the checks against peers share: the tool, its token sets, batches and logs. Independent of
our C readers: the .idx is read by Megatron's layout."""

import json
import pathlib
import re
import struct
import subprocess

import numpy
import torch

TOP = pathlib.Path(__file__).resolve().parents[2]


def find_tool():
    for path in ("build/pipewright", "build/gen/pipewright"):
        if (TOP / path).exists():
            return TOP / path
    raise SystemExit("build the tool first: ./quickstart --setup")


def pipewright(*words):
    """What it prints; ends the check with what it said where it fails."""
    done = subprocess.run([str(find_tool()), *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"pipewright {' '.join(map(str, words))}: status {done.returncode}\n"
                         f"{done.stdout}{done.stderr}")
    return done.stdout


def metrics(run):
    """The lines of a run's steps, by step."""
    lines = map(json.loads, (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line for line in lines if "step" in line}


BATCH_HEAD = re.compile(r"batch of step (-?\d+): (\d+) sequences, (\d+) tokens, weight ([\d.e+]+);")
BATCH_LINE = re.compile(r"\s*\d+\s+document (\d+)\s+start (\d+)\s+length (\d+)\s+weight ([\d.e+]+)")


class Batch:
    """`pipewright show JOB --form batch`: (document, start, length) by sequence, and their weight."""

    def __init__(self, text):
        head, *lines = text.splitlines()
        self.weight = float(BATCH_HEAD.match(head)[4])
        self.sequences = [tuple(map(int, BATCH_LINE.match(line).groups()[:3])) for line in lines]


class TokenSet:
    """PREFIX.idx and PREFIX.bin of one sequence a document."""

    def __init__(self, prefix):
        index = pathlib.Path(f"{prefix}.idx").read_bytes()
        magic, version, code, sequences, documents = struct.unpack_from("<9sQBQQ", index)
        assert (magic, version, documents) == (b"MMIDIDX\0\0", 1, sequences + 1)
        kind = {1: "<u1", 4: "<i4", 8: "<u2"}[code]
        self.lengths = numpy.frombuffer(index, "<i4", sequences, 34)
        self.offsets = numpy.frombuffer(index, "<i8", sequences, 34 + 4 * sequences)
        self.tokens = numpy.memmap(f"{prefix}.bin", kind, "r")
        self.size = self.tokens.dtype.itemsize
        assert not pathlib.Path(f"{prefix}.prompt").exists(), "prompts have no peer here"

    def sequence(self, document, start, length):
        """Inputs and targets [1, length]; -100 where the document ends."""
        begin = self.offsets[document] // self.size
        tokens = self.tokens[begin + start:begin + min(start + length + 1, self.lengths[document])]
        tokens = torch.from_numpy(tokens.astype(numpy.int64))
        targets = torch.full((length,), -100)
        targets[:len(tokens) - 1] = tokens[1:]
        return tokens[None, :length], targets[None]


def print_versions(*modules):
    for module in modules:
        print(f"{module.__name__} {module.__version__}", end="  ")
    print(f"threads {torch.get_num_threads()}")
