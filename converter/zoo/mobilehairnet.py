"""A hair-matting network: exercises resizing (nearest upsampling, which torch writes as Upsample or Resize depending on
release and opset), depthwise convolutions, asymmetric padding and batch normalisation.

Encoder after MobileNet v1 at a quarter of its width (old converters make one node for every channel of a depthwise
convolution), decoder after "Real-time deep hair matting on mobile devices" (Levinshtein et al., 2018,
arXiv:1712.07168): nearest x2 upsampling, plus a 1x1 convolution of the encoder's features of the same size, then a
depthwise-separable block. About 0.2 million weights (0.7 MB).
"""

from torch import nn
from torch.nn import functional

# (channels, stride) of the encoder's blocks, grouped by output resolution; the stem precedes them.
STEM = 8
ENCODER = (
    ((16, 1),),
    ((32, 2), (32, 1)),
    ((64, 2), (64, 1)),
    ((128, 2), (128, 1), (128, 1)),
    ((256, 2), (256, 1)),
)
DECODER = 32


def build():
    """image, float32 1 x 3 x H x W with H and W divisible by 32 -> mask, float32 1 x 1 x H x W within (0, 1)."""
    return MobileHairNet()


def _convolution(inputs, outputs, kernel, stride=1, groups=1):
    return [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def _separable(inputs, outputs, stride=1):
    """A convolution within each channel, then one across channels at each point."""
    return nn.Sequential(*(_convolution(inputs, inputs, 3, stride, groups=inputs) + _convolution(inputs, outputs, 1)))


class MobileHairNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(*_convolution(3, STEM, 3, stride=2))
        self.encoder = nn.ModuleList()
        channels = [STEM]
        for blocks in ENCODER:
            layers = []
            for outputs, stride in blocks:
                layers.append(_separable(channels[-1], outputs, stride))
                channels.append(outputs)
            self.encoder.append(nn.Sequential(*layers))
        widths = [blocks[-1][0] for blocks in ENCODER]
        self.skips = nn.ModuleList([nn.Conv2d(width, DECODER, 1) for width in reversed(widths[:-1])])
        self.bottleneck = nn.Sequential(*_convolution(widths[-1], DECODER, 1))
        self.decoder = nn.ModuleList([_separable(DECODER, DECODER) for _ in self.skips])
        self.last = _separable(DECODER, DECODER)
        self.head = nn.Conv2d(DECODER, 1, 1)

    def forward(self, image):
        features = []
        value = self.stem(image)
        for level in self.encoder:
            value = level(value)
            features.append(value)
        value = self.bottleneck(features.pop())
        for skip, block in zip(self.skips, self.decoder):
            value = block(_twice(value) + skip(features.pop()))
        return self.head(self.last(_twice(value))).sigmoid()


def _twice(value):
    return functional.interpolate(value, scale_factor=2, mode="nearest")
