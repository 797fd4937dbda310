"""Folders of weights, ours and transformers', each read by the other.

    python tests/peers/transformers_check.py OUT/ [JOB.lua RUN/]

First, where they are given: the export of RUN, which JOB made, loads in transformers without a
missing or strange tensor, and has the loss of `pipewright evaluate` on the held-out documents.
Then: small random Llamas and Qwen3s that transformers saved are gone on from, and have its loss on
the first batch; exported after that step they load there, and have its loss on the second. All
within --within. Needs torch, transformers, safetensors, numpy from PyPI."""

import argparse
import json
import pathlib

import numpy
import safetensors
import torch
import transformers

import tool

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 128}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128}

# name, family, number format, shards, the config's own fields
CASES = [
    ("plain", "llama", torch.float32, False, {}),
    ("tied", "llama", torch.float32, False, {"tie_word_embeddings": True}),
    ("shards", "llama", torch.float32, True, {"head_dim": 24}),
    ("bf16", "llama", torch.bfloat16, False, {}),
    ("fp16", "llama", torch.float16, False, {"tie_word_embeddings": True}),
    ("llama3", "llama", torch.float32, False, {"rope_scaling": LLAMA3, "rope_theta": 500000.0}),
    ("bf16_tied_shards_llama3", "llama", torch.bfloat16, True,
     {"rope_scaling": LLAMA3, "tie_word_embeddings": True}),
    ("linear", "llama", torch.float32, False,
     {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    ("yarn", "llama", torch.float32, False, {"rope_scaling": YARN}),
    ("qwen3", "qwen3", torch.float32, False, {"head_dim": 24, "rope_theta": 1000000.0}),
    ("qwen3_tied_yarn", "qwen3", torch.float32, False,
     {"head_dim": 32, "rope_scaling": YARN, "tie_word_embeddings": True}),
]

JOB = """return job {
  model   = hf { config = "hf/config.json", vocab = "bytes" },
  data    = text { files = "corpus", context = 512, held_out = 0 },
  cluster = cpu { ranks = 2 },
  policy  = "gpipe",
  train   = { batch = tokens "4K", steps = 2, from = "hf/", optimizer = adamw { lr = "1e-3" } },
}
"""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("job", nargs="?")
    parser.add_argument("run", nargs="?", type=pathlib.Path)
    parser.add_argument("--within", type=float, default=1e-4)
    return parser.parse_args()


def load(folder):
    """The model in float32; nothing may be missing, strange or of another shape."""
    model, said = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)
    wrong = {what: list(names) for what, names in said.items() if names}
    if wrong:
        raise SystemExit(f"{folder}: transformers says {wrong}")
    return model


def loss_of(model, tokens, batch):
    """The mean over the batch's targets of transformers' loss: sequence by sequence."""
    total = 0.0
    with torch.no_grad():
        for sequence in batch.sequences:
            inputs, targets = tokens.sequence(*sequence)
            logits = model(input_ids=inputs, use_cache=False).logits
            total += torch.nn.functional.cross_entropy(
                logits[0], targets[0], ignore_index=-100, reduction="sum").item()
    return total / batch.weight


def compare(name, ours, theirs, within):
    print(f"{name:28} {ours:.6f}  {theirs:.6f}  {ours - theirs:+.2e}", flush=True)
    return abs(ours - theirs) <= within


def exported(job, run, out, within):
    """Our run, read by transformers."""
    folder = out / "exported"
    tool.pipewright("export", run, "-o", folder)
    ours = json.loads(tool.pipewright("evaluate", run, "--json"))
    tokens = tool.TokenSet((run / "data.txt").read_text().splitlines()[0])
    held_out = tool.Batch(tool.pipewright("show", job, "--form", "batch", "--held-out"))
    return compare("exported, held out", ours["loss"],
                   loss_of(load(folder), tokens, held_out), within)


def write_corpus(folder):
    """Our own sources: short and long ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((tool.TOP / "lua").rglob("*.lua")):
        (folder / file.name).write_text(file.read_text())


def save_random(folder, family, number_format, shards, fields):
    """A model with weights so large that attention and positions matter to the loss."""
    torch.manual_seed(1)
    shape = {"vocab_size": 257, "hidden_size": 64, "intermediate_size": 176, "num_hidden_layers": 3,
             "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
             "initializer_range": 0.15, "bos_token_id": None, "eos_token_id": 256}
    config = transformers.AutoConfig.for_model(family, **(shape | fields))
    model = transformers.AutoModelForCausalLM.from_config(config).to(number_format)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.add_(torch.randn_like(weight) * 0.1)
    model.save_pretrained(folder, max_shard_size="100KB" if shards else "1GB")
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert (len(files) > 1) == shards, files


def continued(name, family, number_format, shards, fields, out, within):
    """A folder of transformers, gone on from here; and the way back."""
    folder = out / name
    save_random(folder / "hf", family, number_format, shards, fields)
    write_corpus(folder / "corpus")
    job, run = folder / "job.lua", folder / "run"
    job.write_text(JOB)
    tool.pipewright("data", job)
    tool.pipewright("run", job, "--out", run, "--steps", 1)
    tool.pipewright("export", run, "-o", folder / "back")
    tool.pipewright("run", job, "--out", run, "--steps", 2)
    good = True
    for step, (what, theirs) in enumerate({"continued": "hf", "back": "back"}.items()):
        batch = tool.Batch(tool.pipewright("show", job, "--form", "batch", "--step", step))
        tokens = tool.TokenSet((run / "data.txt").read_text().splitlines()[0])
        good &= compare(f"{what}, {name}", tool.metrics(run)[step]["loss"],
                        loss_of(load(folder / theirs), tokens, batch), within)
    return good


def main():
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    tool.print_versions(torch, transformers, safetensors, numpy)
    print(f"{'loss':28}     ours    theirs  difference")
    good = not options.run or exported(options.job, options.run, options.out, options.within)
    for case in CASES:
        good &= continued(*case, options.out, options.within)
    print("all within" if good else "not all within", options.within)
    raise SystemExit(not good)


main()
