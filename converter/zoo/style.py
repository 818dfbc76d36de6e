"""A style-transfer network: exercises instance and group normalisation, which compute statistics from the image itself;
with the wrong axes, shapes still fit.

After "Instance normalization: the missing ingredient for fast stylization" (Ulyanov et al., 2016, arXiv:1607.08022),
with the group normalisation of Wu and He (2018, arXiv:1803.08494) in one block.
"""

from torch import nn
from torch.nn import functional

WIDTH = 12


def build():
    """image, float32 N x 3 x H x W with H and W even -> image, float32 N x 3 x H x W within (-1, 1)."""
    return Style()


class Style(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 5, padding=2)
        self.first_norm = nn.InstanceNorm2d(WIDTH, affine=True)
        self.down = nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1)
        self.group_norm = nn.GroupNorm(4, 2 * WIDTH)
        self.up = nn.ConvTranspose2d(2 * WIDTH, WIDTH, 2, stride=2)
        self.plain_norm = nn.InstanceNorm2d(WIDTH)
        self.last = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(self, image):
        value = functional.relu(self.first_norm(self.first(image)))
        value = functional.relu(self.group_norm(self.down(value)))
        value = functional.relu(self.plain_norm(self.up(value)))
        return self.last(value).tanh()
