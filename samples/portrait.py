"""Draws portrait.png, the image `python -m matrix picture` is shown with: python samples/portrait.py

A head with long hair before a plain wall, drawn from ellipses and splines; the same bytes on every machine with
the same Pillow.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 480, 640
SCALE = 3  # drawn larger and reduced, for smooth edges

Shape = NDArray[np.float64]


def main() -> None:
    """Write portrait.png beside this file."""
    portrait().save(Path(__file__).with_name("portrait.png"), optimize=True)


def portrait() -> Image.Image:
    """The portrait, 480 x 640, RGB."""
    random = np.random.RandomState(7)
    canvas = _wall()
    canvas = _over(canvas, (58, 34, 24), _polygon(_hair_outline(), blur=2))
    canvas = _over(canvas, (44, 62, 80), _polygon(_shoulders(), blur=1.5))
    canvas = _over(canvas, (203, 152, 122), _polygon([(203, 400), (277, 400), (288, 512), (240, 560), (192, 512)], 2))
    canvas = _over(canvas, (150, 100, 78), _ellipse(240, 418, 66, 52, blur=14) * _polygon(
        [(203, 380), (277, 380), (288, 512), (192, 512)], 2) * 0.8)  # fmt: skip
    canvas = _face(canvas)
    canvas = _locks(canvas, random)
    return Image.fromarray(np.rint(np.clip(canvas, 0, 255)).astype(np.uint8))


def _wall() -> Shape:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    light = np.exp(-(((x - 130) / 330) ** 2) - ((y - 170) / 420) ** 2)[..., np.newaxis]
    return np.array([118.0, 138.0, 142.0]) + light * np.array([82.0, 76.0, 66.0])


def _face(canvas: Shape) -> Shape:
    head = np.maximum(_ellipse(240, 268, 92, 112, 2), _ellipse(240, 318, 74, 98, 2))
    canvas = _over(canvas, (222, 174, 143), head)
    canvas = _over(canvas, (178, 124, 98), head * _ellipse(340, 300, 78, 170, blur=26) * 0.85)  # the side in the shade
    canvas = _over(canvas, (242, 203, 174), head * _ellipse(208, 236, 52, 62, blur=26) * 0.7)
    for x in (190, 288):
        canvas = _over(canvas, (214, 122, 104), head * _ellipse(x, 330, 28, 20, blur=12) * 0.4)
    for x, turn in ((202, 1), (278, -1)):
        canvas = _over(canvas, (128, 84, 66), _ellipse(x, 266, 30, 17, blur=7) * 0.45)
        canvas = _over(canvas, (246, 242, 236), _ellipse(x, 271, 20, 9, blur=0.8))
        canvas = _over(canvas, (66, 92, 78), _ellipse(x + 1, 270, 9, 9, blur=0.8))
        canvas = _over(canvas, (16, 14, 14), _ellipse(x + 1, 270, 4.5, 4.5, blur=0.6))
        canvas = _over(canvas, (255, 255, 255), _ellipse(x - 2, 267, 2, 2, blur=0.5))
        lid = [(x - 22, 272), (x - 12, 263), (x, 260), (x + 12, 263), (x + 22, 272)]
        canvas = _over(canvas, (48, 28, 22), _line(lid, 3.4, 0.8))
        brow = [(x - 26 * turn, 252), (x - 8 * turn, 243), (x + 12 * turn, 243), (x + 24 * turn, 247)]
        canvas = _over(canvas, (62, 38, 28), _line(brow, 6, 1.5) * 0.9)
    canvas = _over(canvas, (168, 112, 88), _line([(250, 276), (254, 306), (258, 324)], 7, 4) * 0.6)
    canvas = _over(canvas, (250, 216, 190), _line([(238, 276), (237, 318)], 7, 4) * 0.55)
    for x in (230, 252):
        canvas = _over(canvas, (120, 66, 54), _ellipse(x, 333, 6, 3.2, blur=2) * 0.8)
    upper = [(206, 366), (224, 359), (233, 357), (240, 360), (247, 357), (256, 359), (274, 366)]
    mouth = [*upper, (258, 379), (240, 384), (222, 379)]
    canvas = _over(canvas, (186, 84, 82), _polygon(mouth, 1.4))
    canvas = _over(canvas, (118, 42, 46), _line([(208, 366), (228, 367), (240, 369), (252, 367), (272, 366)], 2.6, 0.9))
    canvas = _over(canvas, (226, 140, 130), _ellipse(236, 376, 14, 3, blur=3) * 0.7)
    return _over(canvas, (164, 110, 86), _ellipse(241, 394, 24, 4, blur=5) * 0.5)


def _hair_outline() -> list[tuple[float, float]]:
    left = [(240, 98), (182, 110), (134, 158), (112, 240), (108, 330), (92, 420), (84, 510), (108, 566), (150, 584)]
    right = [(330, 584), (372, 566), (396, 510), (390, 420), (372, 330), (368, 240), (346, 158), (298, 110)]
    return _smooth([*left, (200, 520), (280, 520), *right])


def _shoulders() -> list[tuple[float, float]]:
    return [(0, 640), (10, 590), (60, 546), (150, 512), (192, 500), (240, 556), (288, 500), (330, 512), (420, 546),
            (470, 590), (480, 640)]  # fmt: skip


def _locks(canvas: Shape, random: np.random.RandomState) -> Shape:
    """The hair before face and shoulders, then single strands of it, lighter towards the window."""
    fringe = [(242, 99), (184, 111), (137, 159), (115, 250), (112, 340), (98, 430), (92, 520), (122, 574), (166, 560),
              (172, 470), (156, 380), (148, 310), (158, 250), (184, 210), (222, 184), (248, 160)]  # fmt: skip
    other = [(238, 99), (296, 111), (343, 159), (365, 240), (370, 340), (386, 430), (392, 520), (362, 574), (318, 560),
             (312, 470), (326, 380), (332, 310), (324, 248), (304, 208), (270, 180), (240, 160)]  # fmt: skip
    locks = np.maximum(_polygon(_smooth(fringe), 1.5), _polygon(_smooth(other), 1.5))
    canvas = _over(canvas, (30, 16, 12), _shifted(locks, 5, 6, blur=6) * 0.5)
    canvas = _over(canvas, (70, 42, 29), locks)
    strands = Image.new("L", (WIDTH * SCALE, HEIGHT * SCALE), 0)
    shades = Image.new("L", strands.size, 0)
    for side, outline in ((-1, fringe), (1, other)):
        outer, inner = np.array(outline[1:8], float), np.array(outline[:7:-1], float)[:7]
        for number in range(150):
            share = random.random_sample()
            wave = 5 * np.sin(np.linspace(0, 7, len(outer)) + 6 * random.random_sample())
            path = outer * share + inner * (1 - share)
            path[:, 0] += wave * side
            points = [(x * SCALE, y * SCALE) for x, y in _spline(path)]
            drawing = ImageDraw.Draw(strands if number % 2 else shades)
            drawing.line(points, fill=int(60 + 130 * random.random_sample()), width=SCALE, joint="curve")
    canvas = _over(canvas, (36, 19, 13), _reduced(shades, 0.7) * locks)
    sheen = np.clip(0.25 + _ellipse(150, 250, 60, 100, 40) + 0.5 * _ellipse(340, 240, 40, 80, 30), 0, 1)
    canvas = _over(canvas, (150, 98, 66), _reduced(strands, 0.7) * locks * sheen)
    return _over(canvas, (172, 118, 82), locks * _line([(134, 220), (160, 176), (206, 146)], 16, 11) * 0.5)


def _smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return _spline(np.array([*points, points[0]], float))


def _spline(points: NDArray[np.float64], steps: int = 10) -> list[tuple[float, float]]:
    """Catmull-Rom through the points."""
    padded = np.vstack([points[:1], points, points[-1:]])
    curve = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for t in np.linspace(0, 1, steps, endpoint=False):
            cubic = 3 * b - a - 3 * c + d
            curve.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + cubic * t**3))
    return [(float(x), float(y)) for x, y in [*curve, points[-1]]]


def _polygon(points: list[tuple[float, float]], blur: float) -> Shape:
    image, drawing = _sheet()
    drawing.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=255)
    return _reduced(image, blur)


def _ellipse(x: float, y: float, a: float, b: float, blur: float) -> Shape:
    image, drawing = _sheet()
    drawing.ellipse([(x - a) * SCALE, (y - b) * SCALE, (x + a) * SCALE, (y + b) * SCALE], fill=255)
    return _reduced(image, blur)


def _line(points: list[tuple[float, float]], width: float, blur: float) -> Shape:
    image, drawing = _sheet()
    curve = [(x * SCALE, y * SCALE) for x, y in _spline(np.array(points, float))]
    drawing.line(curve, fill=255, width=round(width * SCALE), joint="curve")
    return _reduced(image, blur)


def _shifted(shape: Shape, right: int, down: int, blur: float) -> Shape:
    image = Image.fromarray(np.rint(np.roll(shape, (down, right), (0, 1)) * 255).astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(blur)), float) / 255


def _sheet() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("L", (WIDTH * SCALE, HEIGHT * SCALE), 0)
    return image, ImageDraw.Draw(image)


def _reduced(image: Image.Image, blur: float) -> Shape:
    small = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(small, float) / 255


def _over(canvas: Shape, colour: tuple[int, int, int], shape: Shape) -> Shape:
    """Paint where the shape is, H x W within [0, 1]."""
    weight = shape[..., np.newaxis]
    return canvas * (1 - weight) + np.asarray(colour, float) * weight


if __name__ == "__main__":
    main()
