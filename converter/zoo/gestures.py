"""A recurrent classifier of sensor readings: exercises what image models never use, the LSTM operator with its packed
gates, initial states made from shapes, and Squeeze and Unsqueeze, whose axes became inputs with opset 13."""

from torch import nn

FEATURES = 16
HIDDEN = 32
CLASSES = 10


def build():
    """readings, float32 T x N x 16 (steps first) -> scores, float32 N x 10, unnormalised."""
    return Gestures()


class Gestures(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, HIDDEN)
        self.linear = nn.Linear(HIDDEN, CLASSES)

    def forward(self, readings):
        _, (last, _) = self.lstm(readings)
        return self.linear(last[0])
