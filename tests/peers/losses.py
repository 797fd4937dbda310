"""Losses of a job's first steps beside PyTorch's: the same model, first weights, order of data,
AdamW, clipping and learning rates. Fails where one differs by more than --within. In float32 what
rounding leaves grows with every step at a high rate; `--set cluster.precision=double` makes both
compute in double, and shows whether a difference is rounding.

    python tests/peers/losses.py JOB.lua OUT/ [--steps 50] [--set FIELD=VALUE ...]

JOB trains on a token set or on text in bytes; `pipewright data JOB` first. Needs torch, safetensors,
numpy from PyPI. The first weights are ours: a run of one step whose rate is too small to change a
bit, exported."""

import argparse
import json
import math
import pathlib
import sys

import numpy
import safetensors.torch
import torch

import tool

sys.path.append(str(tool.TOP / "bench/peers"))
import llama  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("job")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--within", type=float, default=1e-3)
    parser.add_argument("--set", action="append", default=[])
    return parser.parse_args()


def rate_at(train, step):
    """Warm-up, then half a cosine, as docs and runtime/learning_rate.c have it."""
    full, curve, steps = train["optimizer"]["lr"], train["curve"], train["steps"]
    warmup, final = curve["warmup"], curve["final"]
    if step < warmup:
        return full * (step + 1) / warmup
    if curve["kind"] != "cosine":
        raise SystemExit(f"{curve['kind']}: only cosine has a peer here")
    return final + (full - final) * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def first_weights(options, sets):
    still, folder = options.out / "still", options.out / "first"
    sets = [*sets, "--set", "train.optimizer.lr=1e-300", "--set", "train.curve.final=0"]
    tool.pipewright("run", options.job, "--out", still, "--steps", 1, *sets)
    tool.pipewright("export", still, "-o", folder)
    return folder


def peer_losses(options, sets, job, folder, tokens):
    model = llama.Llama(llama.Shape.from_config(folder))
    if job["cluster"]["precision"] == "double":
        model.double()
    missing, strange = model.load_state_dict(
        safetensors.torch.load_file(folder / "model.safetensors"), strict=False)
    assert not strange and missing in ([], ["lm_head.weight"] if model.shape.tied else [])
    train = job["train"]
    settings = train["optimizer"]
    optimizer = llama.adamw(model, settings["lr"], settings["weight_decay"],
                            (settings["beta1"], settings["beta2"]), settings["epsilon"])
    for step in range(options.steps):
        batch = tool.Batch(tool.pipewright("show", options.job, "--form", "batch", "--step", step,
                                           *sets))
        optimizer.zero_grad()
        loss = 0.0
        for sequence in batch.sequences:
            part = model(*tokens.sequence(*sequence)) / batch.weight
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), train["clip"] or math.inf)
        for group in optimizer.param_groups:
            group["lr"] = rate_at(train, step)
        optimizer.step()
        yield loss, norm.item()


def main():
    options = arguments()
    sets = [word for field in options.set for word in ("--set", field)]
    options.out.mkdir(parents=True, exist_ok=True)
    job = json.loads(tool.pipewright("show", options.job, "--form", "job", *sets))
    folder = first_weights(options, sets)
    run = options.out / "ours"
    tool.pipewright("run", options.job, "--out", run, "--steps", options.steps, *sets)
    ours = tool.metrics(run)
    tokens = tool.TokenSet((run / "data.txt").read_text().splitlines()[0])
    tool.print_versions(torch, numpy, safetensors)
    print("step      ours    PyTorch  difference      norm    PyTorch")
    worst = 0.0
    for step, (loss, norm) in enumerate(peer_losses(options, sets, job, folder, tokens)):
        difference = ours[step]["loss"] - loss
        worst = max(worst, abs(difference))
        print(f"{step:4}  {ours[step]['loss']:.6f}  {loss:.6f}  {difference:+10.2e}"
              f"  {ours[step]['grad_norm']:.6f}  {norm:.6f}", flush=True)
    print(f"largest difference of {options.steps} losses: {worst:.2e}, allowed {options.within:g}")
    raise SystemExit(not worst <= options.within)


main()
