"""A recurrent tagger: there to break on what images never touch, the LSTM operator with its packed gates, initial
states made from shapes, and a linear layer on three axes, which becomes MatMul and Transpose."""
from torch import nn

FEATURES = 16
HIDDEN = 32
CLASSES = 10


def build():
    """steps, float32 T x N x 16 -> scores, float32 T x N x 10 (unnormalised, one class per step on the last axis)."""
    return Tagger()


class Tagger(nn.Module):
    def __init__(self):
        super(Tagger, self).__init__()
        self.lstm = nn.LSTM(FEATURES, HIDDEN)
        self.linear = nn.Linear(HIDDEN, CLASSES)

    def forward(self, steps):
        return self.linear(self.lstm(steps)[0])
