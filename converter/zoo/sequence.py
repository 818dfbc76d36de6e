"""A recurrent network over sequences of any length: there to break where a converter bakes the length of the example
into the graph, and on the RNN operator in both directions at once.
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
