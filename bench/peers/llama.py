"""The peers' model: the Llama of lua/models/llama.lua in plain PyTorch, with the parameter names of
Hugging Face, so that a folder that `pipewright export` wrote loads with load_state_dict. Written from
the papers and from transformers, not from our templates: it judges them."""

import dataclasses
import json
import math
import pathlib

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Shape:
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    tied: bool = False
    epsilon: float = 1e-5
    rope_theta: float = 10000.0
    rope: dict = dataclasses.field(default_factory=dict)

    @staticmethod
    def from_config(folder):
        c = json.loads((pathlib.Path(folder) / "config.json").read_text())
        return Shape(
            c["num_hidden_layers"], c["hidden_size"], c["num_attention_heads"],
            c["num_key_value_heads"], c["head_dim"], c["intermediate_size"], c["vocab_size"],
            c["tie_word_embeddings"], c["rms_norm_eps"], c["rope_theta"], c["rope_scaling"] or {})


def rope_frequencies(shape):
    half = torch.arange(0, shape.head_dim, 2, dtype=torch.int64).float() / shape.head_dim
    frequency = 1.0 / shape.rope_theta ** half
    kind = shape.rope.get("rope_type", "default")
    if kind == "default":
        return frequency
    if kind == "linear":
        return frequency / shape.rope["factor"]
    if kind != "llama3":
        raise ValueError(f"rope scaling {kind} has no peer here")
    context = shape.rope["original_max_position_embeddings"]
    low, high = shape.rope["low_freq_factor"], shape.rope["high_freq_factor"]
    wave = 2 * math.pi / frequency
    share = ((context / wave - low) / (high - low)).clamp(0, 1)
    return (1 - share) * frequency / shape.rope["factor"] + share * frequency


class Norm(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden))
        self.epsilon = shape.epsilon

    def forward(self, x):
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon))


def turn(x, cos, sin):
    """RoPE on [batch, heads, tokens, head_dim], halves as in Hugging Face's Llama."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


class Attention(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.q_proj = nn.Linear(shape.hidden, q, bias=False)
        self.k_proj = nn.Linear(shape.hidden, kv, bias=False)
        self.v_proj = nn.Linear(shape.hidden, kv, bias=False)
        self.o_proj = nn.Linear(q, shape.hidden, bias=False)

    def forward(self, x, cos, sin, mask):
        batch, tokens, _ = x.shape
        dim, groups = self.shape.head_dim, self.shape.heads // self.shape.kv_heads

        def heads(y):
            return y.view(batch, tokens, -1, dim).transpose(1, 2)

        q, k = turn(heads(self.q_proj(x)), cos, sin), turn(heads(self.k_proj(x)), cos, sin)
        v = heads(self.v_proj(x))
        if groups > 1:
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
        return self.o_proj(y.transpose(1, 2).reshape(batch, tokens, -1))


class Mlp(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.input_layernorm = Norm(shape)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape)
        self.mlp = Mlp(shape)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Body(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape)


class Llama(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.model = Body(shape)
        self.lm_head = nn.Linear(shape.hidden, shape.vocabulary, bias=False)
        if shape.tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        self.register_buffer("frequency", rope_frequencies(shape), persistent=False)

    def forward(self, tokens, targets, positions=None, mask=None):
        """The sum over targets (-100: none) of their losses. tokens, targets: [batch, tokens].
        positions: [tokens], from 0 where left out; mask: causal where left out."""
        if positions is None:
            positions = torch.arange(tokens.shape[1])
        angle = positions[:, None].to(self.frequency.dtype) * self.frequency[None, :]
        cos, sin = angle.cos(), angle.sin()
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x, cos, sin, mask)
        logits = self.lm_head(self.model.norm(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100,
                               reduction="sum")


def adamw(model, rate, decay, betas, epsilon, fused=False):
    """Matrices decay, gains do not."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    gains = [p for p in model.parameters() if p.dim() != 2]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": decay},
                              {"params": gains, "weight_decay": 0.0}],
                             lr=rate, betas=betas, eps=epsilon, fused=fused)
