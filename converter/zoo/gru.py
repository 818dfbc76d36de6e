"""A recurrent tagger: exercises the GRU operator, whose gates are ordered differently from torch's and whose reset may
come before or after the matrix product, in two layers and with batch-first axes.
"""

from torch import nn

FEATURES = 12
HIDDEN = 24
TAGS = 6


def build():
    """readings, float32 N x T x 12 -> tags, float32 N x T x 6, unnormalised: scores for every step."""
    return Tagger()


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(FEATURES, HIDDEN, num_layers=2, batch_first=True)
        self.linear = nn.Linear(HIDDEN, TAGS)

    def forward(self, readings):
        states, _ = self.gru(readings)
        return self.linear(states)
