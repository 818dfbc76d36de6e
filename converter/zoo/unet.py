"""A segmentation network: exercises bilinear upsampling, whose corner rule differs between frameworks and opsets, and
concatenation along channels, an axis that channels-last layouts move.

After "U-Net: convolutional networks for biomedical image segmentation" (Ronneberger et al., 2015, arXiv:1505.04597),
two levels deep.
"""

import torch
from torch import nn
from torch.nn import functional

WIDTHS = (8, 16, 32)
CLASSES = 4


def build():
    """image, float32 N x 3 x H x W with H and W divisible by 4 -> scores, float32 N x 4 x H x W, unnormalised.

    Samples are areas, as in image libraries (align_corners=False)."""
    return UNet(align_corners=False)


def build_aligned():
    """The same, but samples are points, and the outermost keep their place (align_corners=True)."""
    return UNet(align_corners=True)


def _block(inputs, outputs):
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    def __init__(self, align_corners):
        super().__init__()
        self.align_corners = align_corners
        self.down = nn.ModuleList([_block(before, after) for before, after in zip((3, *WIDTHS), WIDTHS)])
        self.pool = nn.MaxPool2d(2)
        pairs = [(before + after, after) for before, after in zip(WIDTHS[1:], WIDTHS)]
        self.up = nn.ModuleList([_block(*pair) for pair in reversed(pairs)])
        self.head = nn.Conv2d(WIDTHS[0], CLASSES, 1)

    def forward(self, image):
        skips = []
        value = self.down[0](image)
        for block in list(self.down)[1:]:
            skips.append(value)
            value = block(self.pool(value))
        for block in self.up:
            value = functional.interpolate(value, scale_factor=2, mode="bilinear", align_corners=self.align_corners)
            value = block(torch.cat([skips.pop(), value], 1))
        return self.head(value)
