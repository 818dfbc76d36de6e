"""A transformer encoder: exercises layer normalisation (a cluster of nodes before opset 17), GELU by erf, softmax over
the last of four axes, and matrix products with two batch axes.

After "Attention is all you need" (Vaswani et al., 2017, arXiv:1706.03762), pre-norm, two layers.
Written out, because early torch releases lack these modules.
"""

import math

import torch
from torch import nn

STEPS = 12
FEATURES = 16
WIDTH = 32
HEADS = 4
CLASSES = 8


def build():
    """frames, float32 N x 12 x 16 -> scores, float32 N x 12 x 8, unnormalised: a row for every step."""
    return Encoder()


def _gelu(value):
    return value * 0.5 * (1.0 + torch.erf(value / math.sqrt(2.0)))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(WIDTH, 3 * WIDTH)
        self.merge = nn.Linear(WIDTH, WIDTH)

    def forward(self, value):
        queries, keys, values = [self._heads(part) for part in self.project(value).chunk(3, dim=-1)]
        weights = torch.matmul(queries, keys.transpose(2, 3)) / math.sqrt(WIDTH // HEADS)
        mixed = torch.matmul(weights.softmax(dim=-1), values)
        return self.merge(mixed.transpose(1, 2).reshape(-1, STEPS, WIDTH))

    def _heads(self, value):
        return value.reshape(-1, STEPS, HEADS, WIDTH // HEADS).transpose(1, 2)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.attention = Attention()
        self.second_norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, value):
        value = value + self.attention(self.norm(value))
        return value + self.narrow(_gelu(self.widen(self.second_norm(value))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(FEATURES, WIDTH)
        self.positions = nn.Parameter(torch.zeros(STEPS, WIDTH))
        self.layers = nn.Sequential(Layer(), Layer())
        self.norm = nn.LayerNorm(WIDTH)
        self.linear = nn.Linear(WIDTH, CLASSES)

    def forward(self, frames):
        return self.linear(self.norm(self.layers(self.embed(frames) + self.positions)))
