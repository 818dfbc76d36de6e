"""A dense predictor: exercises reflection padding, dilated convolutions, which TensorFlow implements by moving space to
batch, and padding that differs on every side.
"""

from torch import nn

WIDTH = 12


def build():
    """image, float32 N x 3 x H x W with H and W above 8 -> depth, float32 N x 2 x H x W, unbounded."""
    return nn.Sequential(
        nn.ReflectionPad2d(1),
        nn.Conv2d(3, WIDTH, 3),
        nn.ELU(),
        nn.ReflectionPad2d(2),
        nn.Conv2d(WIDTH, WIDTH, 3, dilation=2),
        nn.ELU(),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=4, dilation=4, groups=2),
        nn.ELU(),
        nn.ConstantPad2d((2, 1, 0, 3), 0.5),
        nn.Conv2d(WIDTH, 2, 4),
    )
