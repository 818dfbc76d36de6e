"""An inverted-residual image classifier: exercises hard-swish and hard-sigmoid, written as clipped sums,
squeeze-and-excite, which multiplies maps by one number per channel, and 5x5 depthwise convolutions.

After "Searching for MobileNetV3" (Howard et al., 2019, arXiv:1905.02244), with four blocks of few channels: old
converters make one node for every channel of a depthwise convolution.
"""

from torch import nn
from torch.nn import functional

CLASSES = 10
STEM = 8
# (channels after the block, channels within it, kernel, stride)
BLOCKS = ((8, 16, 3, 2), (16, 32, 5, 2), (16, 32, 5, 1), (24, 48, 3, 1))


def build():
    """image, float32 N x 3 x H x W -> scores, float32 N x 10, unnormalised."""
    return MobileNet()


def _hard_sigmoid(value):
    return functional.relu6(value + 3.0) / 6.0


def _hard_swish(value):
    return value * _hard_sigmoid(value)


def _normed(inputs, outputs, kernel, stride=1, groups=1):
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs, inner, kernel, stride):
        super().__init__()
        self.residual = stride == 1 and inputs == outputs
        self.widen = _normed(inputs, inner, 1)
        self.depthwise = _normed(inner, inner, kernel, stride, groups=inner)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(inner, inner // 4, 1)
        self.excite = nn.Conv2d(inner // 4, inner, 1)
        self.narrow = _normed(inner, outputs, 1)

    def forward(self, image):
        value = _hard_swish(self.depthwise(_hard_swish(self.widen(image))))
        weights = self.excite(functional.relu(self.squeeze(self.average(value))))
        value = self.narrow(value * _hard_sigmoid(weights))
        return image + value if self.residual else value


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = _normed(3, STEM, 3, stride=2)
        channels = STEM
        blocks = []
        for outputs, inner, kernel, stride in BLOCKS:
            blocks.append(Block(channels, outputs, inner, kernel, stride))
            channels = outputs
        self.blocks = nn.Sequential(*blocks)
        self.average = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels, CLASSES)

    def forward(self, image):
        value = self.blocks(_hard_swish(self.stem(image)))
        return self.linear(self.average(value).flatten(1))
