"""A recurrent network over sequences of any length: exercises converters that hard-code the example's length, and the
bidirectional RNN operator.
"""

from torch import nn

FEATURES = 8
HIDDEN = 16
TAGS = 5


def build():
    """readings, float32 T x N x 8 (steps first, any number) -> tags, float32 T x N x 5, unnormalised."""
    return Sequence()


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(FEATURES, HIDDEN, bidirectional=True)
        self.linear = nn.Linear(2 * HIDDEN, TAGS)

    def forward(self, readings):
        states, _ = self.rnn(readings)
        return self.linear(states)
