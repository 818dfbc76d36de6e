"""The head of a detector: exercises several outputs, some of them integers, from topk, argmax and where; a tie resolved
differently, or an int64 turned into an int32, is a mismatch.
"""

import torch
from torch import nn

FEATURES = 16
HIDDEN = 32
CLASSES = 12
BEST = 4
SURE = 0.2


def build():
    """features, float32 N x 16 -> scores, float32 N x 4, largest first; classes, int64 N x 4, their indices;
    label, int64 N, the best class, or -1 if its score is below 0.2; kept, float32 N x 12, the scores, negated if not
    above the mean."""
    return Head()


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(FEATURES, HIDDEN)
        self.linear = nn.Linear(HIDDEN, CLASSES)

    def forward(self, features):
        scores = self.linear(self.hidden(features).relu() * 3.0).softmax(dim=1)
        best, classes = scores.topk(BEST, dim=1)
        label = scores.argmax(dim=1)
        label = torch.where(best[:, 0] > SURE, label, -torch.ones_like(label))
        kept = torch.where(scores > scores.mean(1, keepdim=True), scores, -scores)
        return best, classes, label, kept
