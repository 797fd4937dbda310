"""Training steps in PyTorch, as a careful user sets them up: tokens a second, as one line of JSON.

    python bench/peers/torch_step.py --model a --documents full --way eager

The same work as bench/step: models (a) and (b), float32, AdamW with clipping, 16 windows of 2048
tokens a step; full windows, or documents of skewed lengths (log-normal, median 187, mean 374, or
those of an .idx). Fused causal attention (scaled_dot_product_attention), fused AdamW. Needs torch,
numpy from PyPI; --way compile needs g++ as well.

--arrange says how documents become tensors: single, one sequence a call; bucket, sorted by length
and padded; packed, side by side in windows under a mask. --micro: windows a call. Which is best
depends on the machine: try them, and publish the best."""

import argparse
import json
import os
import statistics
import sys
import time

# Read once, when torch and malloc start: threads stay on their cores, and malloc keeps what it has
# (else a third of a step is page faults).
SETTINGS = {"OMP_PROC_BIND": "close", "OMP_PLACES": "cores", "MALLOC_MMAP_MAX_": "0",
            "MALLOC_TRIM_THRESHOLD_": str(1 << 40), "MALLOC_TOP_PAD_": str(256 << 20)}

MODELS = {
    "a": dict(layers=6, hidden=256, heads=4, kv_heads=4, head_dim=64, ffn=704, vocabulary=257),
    "b": dict(layers=8, hidden=512, heads=8, kv_heads=4, head_dim=64, ffn=1408, vocabulary=8192),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="a")
    parser.add_argument("--documents", default="full", help="full, skewed or PREFIX.idx")
    parser.add_argument("--way", choices=["eager", "compile", "autotune"], default="eager")
    parser.add_argument("--arrange", choices=["single", "bucket", "packed"], default="single")
    parser.add_argument("--window", type=int, default=2048)
    parser.add_argument("--windows", type=int, default=16, help="a step")
    parser.add_argument("--micro", type=int, default=1, help="windows a call")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=3, help="timed; the median counts")
    parser.add_argument("--warmup", type=int, default=1, help="steps before")
    return parser.parse_args()


def settle(options):
    """Starts this program again in the environment that it needs."""
    wanted = SETTINGS | {"OMP_NUM_THREADS": str(options.threads)}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)


OPTIONS = arguments()
settle(OPTIONS)

import numpy  # noqa: E402
import torch  # noqa: E402

import llama  # noqa: E402


def all_lengths(options, random):
    """Lengths of documents without end, cut at the window."""
    if options.documents == "full":
        while True:
            yield options.window
    if options.documents == "skewed":
        while True:
            length = 187 * numpy.exp(numpy.sqrt(2 * numpy.log(2)) * random.standard_normal())
            yield int(numpy.clip(length, 2, options.window))
    index = numpy.memmap(options.documents, "u1", "r")
    count = int(index[18:26].view("<u8")[0])
    while True:
        for length in index[34:34 + 4 * count].view("<i4"):
            if length > 1:
                yield min(int(length), options.window)


def step_lengths(options, lengths):
    """As many as fill the step's windows; the last one is cut."""
    left, taken = options.windows * options.window, []
    while left > 1:
        taken.append(min(next(lengths), left))
        left -= taken[-1]
    return taken


def groups_of(options, lengths):
    """Lists of lengths: a call each. Packed: first fit into windows, in their order."""
    if options.arrange == "packed":
        windows = []
        for length in lengths:
            fits = (w for w in windows if sum(w) + length <= options.window)
            window = next(fits, None)
            if window is None:
                windows.append(window := [])
            window.append(length)
        return windows
    room = options.micro * options.window
    if options.arrange == "single":
        size = options.micro if options.documents == "full" else 1
        return [lengths[i:i + size] for i in range(0, len(lengths), size)]
    groups = []
    for length in sorted(lengths, reverse=True):
        if not groups or groups[-1][0] * (len(groups[-1]) + 1) > room:
            groups.append([])
        groups[-1].append(length)
    return groups


def tensors_of(options, group, random):
    """Inputs, targets, positions, mask. The last token of a document predicts nothing."""
    vocabulary = MODELS[options.model]["vocabulary"]
    if options.arrange != "packed":
        tokens = random.integers(vocabulary, size=(len(group), max(group)))
        targets = numpy.full_like(tokens, -100)
        for row, length in enumerate(group):
            targets[row, :length - 1] = tokens[row, 1:length]
        return torch.from_numpy(tokens), torch.from_numpy(targets), None, None
    lengths = group + [1] * (options.window - sum(group))     # what is left attends to itself
    tokens = random.integers(vocabulary, size=(1, options.window))
    targets = numpy.roll(tokens, -1, axis=1)
    ends = numpy.cumsum(lengths) - 1
    targets[0, ends] = -100
    document = torch.from_numpy(numpy.repeat(numpy.arange(len(lengths)), lengths))
    position = torch.from_numpy(numpy.concatenate([numpy.arange(n) for n in lengths]))
    mask = (document[:, None] == document[None, :]).tril()
    return torch.from_numpy(tokens), torch.from_numpy(targets), position, mask[None, None]


def useful_flops(shape, lengths):
    """Products forward and twice that backward; causal pairs; the embedding is no product."""
    dims = shape.heads + 2 * shape.kv_heads
    layer = shape.hidden * shape.head_dim * (dims + shape.heads) + 3 * shape.hidden * shape.ffn
    weights = shape.layers * layer + shape.hidden * shape.vocabulary
    pairs = sum(n * (n + 1) // 2 for n in lengths)
    return 6 * weights * sum(lengths) + 12 * shape.head_dim * shape.heads * shape.layers * pairs


def train_step(model, optimizer, calls):
    targets = sum(int((call[1] >= 0).sum()) for call in calls)
    optimizer.zero_grad()
    loss = 0.0
    for call in calls:
        part = model(*call) / targets
        part.backward()
        loss += part.item()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss


def compiled(model, options):
    if options.way == "eager":
        return model
    varying = options.documents != "full" and options.arrange != "packed"
    return torch.compile(model, dynamic=varying,
                         mode="max-autotune" if options.way == "autotune" else None)


def main():
    options = OPTIONS
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    random = numpy.random.default_rng(1)
    shape = llama.Shape(**MODELS[options.model])
    model = llama.Llama(shape)
    with torch.no_grad():
        for weight in (p for p in model.parameters() if p.dim() == 2):
            weight.normal_(std=0.02)
    optimizer = llama.adamw(model, 1e-3, 0.1, (0.9, 0.95), 1e-8, fused=True)
    run = compiled(model, options)
    lengths, seconds, rates, flops = all_lengths(options, random), [], [], []
    for step in range(options.warmup + options.steps):
        taken = step_lengths(options, lengths)
        calls = [tensors_of(options, group, random) for group in groups_of(options, taken)]
        begin = time.perf_counter()
        loss = train_step(run, optimizer, calls)
        took = time.perf_counter() - begin
        if step >= options.warmup:
            seconds.append(took)
            rates.append(sum(taken) / took)
            flops.append(useful_flops(shape, taken) / took)
    print(json.dumps({
        "peer": f"torch {torch.__version__}", "model": options.model,
        "documents": options.documents, "way": options.way, "arrange": options.arrange,
        "micro": options.micro, "threads": options.threads,
        "tokens_per_second": statistics.median(rates),
        "useful_flops_per_second": statistics.median(flops),
        "seconds": seconds, "loss": loss}))


main()
