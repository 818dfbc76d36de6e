"""From an image file to a network's input: centre crop, resize, values within [-1, 1].

As in "Real-time deep hair matting on mobile devices" and the article this project grew from: mean 0.5, deviation 0.5.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from matrix.core.errors import UsageError

# Decoded at three bytes a pixel; a file of kilobytes may declare any size.
MOST_PIXELS = 64_000_000

# Formats that Pillow decodes itself; some others start a program or read a second file.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")


def read_image(path: Path) -> Image.Image:
    """Return the image, upright (EXIF orientation applied), as RGB; of several frames the first.

    Raises UsageError if it is not an image, is damaged, or has more than MOST_PIXELS pixels or 8 bits a channel.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise Image.DecompressionBombError
                if image.mode[0] in "IF":
                    # Pillow would cut such values off at 255.
                    raise UsageError(f"--image {path} has more than 8 bits a channel; save it with 8")
                return ImageOps.exif_transpose(image).convert("RGB")
    except UsageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = MOST_PIXELS // 10**6
        raise UsageError(f"--image {path} has more than {most} million pixels; scale it down") from error
    except FileNotFoundError as error:
        raise UsageError(f"--image {path}: no such file") from error
    except UnidentifiedImageError as error:
        raise UsageError(f"--image {path} is not an image in one of the formats {', '.join(_FORMATS)}") from error
    except Exception as error:  # there is no list of what decoders raise for hostile bytes
        raise UsageError(f"--image {path} cannot be read as an image: {error}") from error


def fit(image: Image.Image, height: int, width: int) -> Image.Image:
    """Return the largest centre part in the ratio of `height` to `width`, resized (bilinear) to that size."""
    wide = min(image.width, max(1, round(image.height * width / height)))
    high = min(image.height, max(1, round(image.width * height / width)))
    left, top = (image.width - wide) // 2, (image.height - high) // 2
    # Crop first: `resize(box=…)` would mix in pixels beyond the edge.
    return image.crop((left, top, left + wide, top + high)).resize((width, height), Image.Resampling.BILINEAR)


def to_tensor(image: Image.Image, channels: int) -> NDArray[np.float32]:
    """Return 1 x channels x H x W within [-1, 1]; 3 channels are red, green and blue, 1 is grey."""
    values = np.asarray(image if channels == 3 else image.convert("L"), dtype=np.float32) / 255
    planes = values.transpose(2, 0, 1) if channels == 3 else values[np.newaxis]
    return np.ascontiguousarray((planes[np.newaxis] - 0.5) / 0.5, dtype=np.float32)
