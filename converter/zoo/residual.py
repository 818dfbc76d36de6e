"""A residual image classifier: exercises strided convolutions and pooling padded on both sides, where TensorFlow pads
one side, and global pooling followed by flattening and a matrix product.

After "Deep residual learning for image recognition" (He et al., 2016, arXiv:1512.03385), with eight layers.
"""

from torch import nn

CLASSES = 10
WIDTHS = (16, 16, 32, 64)


def build():
    """image, float32 N x 3 x H x W -> scores, float32 N x 10, unnormalised."""
    return Residual()


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False))

    def forward(self, value):
        change = self.relu(self.first_norm(self.first(value)))
        return self.relu(self.second_norm(self.second(change)) + self.shortcut(value))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(WIDTHS[0])
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        pairs = zip(WIDTHS, WIDTHS[1:])
        self.blocks = nn.Sequential(*[Block(before, after, after // before) for before, after in pairs])
        self.average = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(WIDTHS[-1], CLASSES)

    def forward(self, image):
        value = self.pool(self.relu(self.norm(self.stem(image))))
        return self.linear(self.average(self.blocks(value)).flatten(1))
