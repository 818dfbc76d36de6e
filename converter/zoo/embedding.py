"""A text classifier: exercises 64-bit integer inputs, which pass through Gather, a comparison and a cast to a mask, and
means over the tokens that are not padding.
"""

from torch import nn

WORDS = 100
WIDTH = 24
HIDDEN = 32
CLASSES = 6
PADDING = 0


def build():
    """tokens, int64 N x T within 0 to 99, 0 for padding -> scores, float32 N x 6, unnormalised."""
    return TextClassifier()


class TextClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(WORDS, WIDTH)
        self.hidden = nn.Linear(WIDTH, HIDDEN)
        self.linear = nn.Linear(HIDDEN, CLASSES)

    def forward(self, tokens):
        given = (tokens != PADDING).float().unsqueeze(-1)
        total = (self.embedding(tokens) * given).sum(1)
        mean = total / (given.sum(1) + 1.0)  # a text of padding only has a count of 0
        return self.linear(self.hidden(mean * 4.0).tanh())
