"""The picture of an image-to-image model: preprocessing, measuring, drawing, and the command on a fake engine."""

from __future__ import annotations

import io
import json
import math
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fakes
import numpy as np
import pytest
import small
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from matrix import cli
from matrix.app import project as session
from matrix.core import errors
from matrix.core.errors import UsageError
from matrix.environments.engine import Engine
from matrix.environments.locks.keep import LockFolders
from matrix.execution.drawn_inputs import pack
from matrix.outputs.picture import draw, panels, preprocess
from matrix.outputs.picture.compose import compose, shade, summary
from matrix.outputs.picture.draw import MARGIN, Panel, Sheet
from matrix.outputs.picture.panels import agreement, difference
from matrix.outputs.picture.preprocess import fit, read_image, to_tensor

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
NAMES = ("torch", "TensorFlow")


def mask(*rows: list[float]) -> NDArray[np.float32]:
    return np.array(rows, np.float32)


# --- preprocessing ---------------------------------------------------------------------------------------------------


def bands(width: int, height: int) -> Image.Image:
    """A third red, a third green, a third blue, from left to right."""
    image = Image.new("RGB", (width, height), GREEN)
    drawing = ImageDraw.Draw(image)
    drawing.rectangle((0, 0, width // 3 - 1, height), fill=RED)
    drawing.rectangle((width - width // 3, 0, width, height), fill=BLUE)
    return image


def test_the_middle_is_cut_out() -> None:
    assert fit(bands(300, 100), 8, 8).getcolors() == [(64, GREEN)]
    assert fit(bands(300, 100).rotate(90, expand=True), 8, 8).getcolors() == [(64, GREEN)]


def test_the_cut_has_the_ratio_of_the_model() -> None:
    whole = fit(bands(300, 100), 10, 30)
    assert whole.size == (30, 10)
    assert (whole.getpixel((4, 5)), whole.getpixel((15, 5)), whole.getpixel((25, 5))) == (RED, GREEN, BLUE)


def test_resizing_is_bilinear() -> None:
    image = Image.new("L", (2, 1))
    image.putpixel((1, 0), 255)
    # Bilinear, pixel centres at half steps: 0, a quarter, three quarters, 1.
    assert [fit(image, 2, 4).getpixel((x, 0)) for x in range(4)] == [0, 64, 191, 255]


def test_values_are_normalised() -> None:
    image = Image.new("RGB", (2, 1), (0, 51, 255))
    found = to_tensor(image, 3)
    assert found.shape == (1, 3, 1, 2) and found.dtype == np.float32 and found.flags.c_contiguous
    assert found[0, :, 0, 1] == pytest.approx([-1, -0.6, 1])


def test_one_channel_is_grey() -> None:
    found = to_tensor(Image.new("RGB", (3, 2), (255, 255, 255)), 1)
    assert found.shape == (1, 1, 2, 3) and (found == 1).all()


def test_an_image_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: to be turned clockwise, as a phone held upright writes it.
    bands(30, 12).save(tmp_path / "phone.png", exif=exif)
    found = read_image(tmp_path / "phone.png")
    assert found.size == (12, 30)
    assert (found.getpixel((6, 2)), found.getpixel((6, 28))) == (RED, BLUE)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "CMYK"])
def test_other_kinds_of_images_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.tiff"
    Image.new("RGB", (4, 4), (255, 255, 255)).convert(mode).save(path)
    found = read_image(path)
    assert found.mode == "RGB" and found.getpixel((1, 1)) == (255, 255, 255)


def _truncated() -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(stream, "PNG")
    return stream.getvalue()[:900]


def _declared(width: int, height: int) -> bytes:
    """Make a PNG of a few bytes that declares this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _deep() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not an image"),
        (b"not an image at all", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (_truncated(), "cannot be read as an image"),
        (_declared(9000, 9000), "more than 64 million pixels"),
        (_declared(12000, 12000), "more than 64 million pixels"),  # where Pillow only warns
        (_declared(60000, 60000), "more than 64 million pixels"),  # where Pillow refuses
        (_deep(), "more than 8 bits"),
    ],
    ids=["empty", "text", "eps", "truncated", "large", "larger", "bomb", "16 bits"],
)
def test_what_is_no_image_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_a_missing_image_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        read_image(tmp_path / "none.png")


def test_the_cap_counts_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bands(30, 10).save(tmp_path / "image.png")
    monkeypatch.setattr(preprocess, "MOST_PIXELS", 300)
    assert read_image(tmp_path / "image.png").size == (30, 10)
    monkeypatch.setattr(preprocess, "MOST_PIXELS", 299)
    with pytest.raises(UsageError):
        read_image(tmp_path / "image.png")


def test_the_sample_is_an_image_of_a_size_to_ship() -> None:
    path = small.ROOT / "samples" / "portrait.png"
    assert read_image(path).size == (480, 640) and path.stat().st_size < 150_000


# --- measuring -------------------------------------------------------------------------------------------------------


def test_masks_are_measured() -> None:
    found = agreement(mask([0.5, 0.9, 0.1, 0.2]), mask([0.75, 0.4, 0.6, 0.2]))
    assert (found.both, found.only_torch, found.only_converted) == (0.25, 0.25, 0.25)
    assert found.iou == pytest.approx(1 / 3)
    assert found.max_abs == pytest.approx(0.5)


def test_without_a_mask_there_is_no_iou() -> None:
    found = agreement(mask([0.1, 0.2]), mask([0.1, 0.3]))
    assert found.iou is None
    assert summary(found, NAMES) == "max |torch - TensorFlow| 1.0e-01 · IoU at 0.5: no mask in either"


def test_one_pixel_of_many_is_not_rounded_away() -> None:
    one = np.ones((300, 300), np.float32)
    other = one.copy()
    other[7, 7] = 0.25
    assert summary(agreement(one, other), NAMES) == "max |torch - TensorFlow| 7.5e-01 · IoU at 0.5: above 0.9999"
    assert summary(agreement(one, one), NAMES).endswith("IoU at 0.5: 1.0000")


def test_what_is_not_finite_in_one_alone_is_no_number() -> None:
    inf, nan = math.inf, math.nan
    found = difference(mask([nan, inf, 1, nan, inf]), mask([nan, inf, nan, 1, 1]))
    assert np.array_equal(found, [[0, 0, nan, nan, nan]], equal_nan=True)
    assert math.isnan(agreement(mask([1]), mask([nan])).max_abs)


# --- panels ----------------------------------------------------------------------------------------------------------


def test_a_prediction_is_grey() -> None:
    assert panels.grey(mask([0, 0.2, 1]), 0, 1)[0].tolist() == [[0] * 3, [51] * 3, [255] * 3]
    assert panels.grey(mask([-4, 0, 4]), -4, 4)[0, :, 0].tolist() == [0, 128, 255]


def test_the_scale_is_the_same_for_both() -> None:
    assert shade((mask([0.2, 0.3]), mask([0.1, 1.0000001]))) == (0, 1)
    assert shade((mask([-2, 0.3]), mask([0.1, 5]))) == (-2, 5)
    assert shade((mask([math.nan]), mask([math.inf]))) == (0, 1)


def test_the_largest_difference_is_white() -> None:
    found = panels.apart(mask([0.5, 0.5, 0.5]), mask([0.5, 0.5 + 2**-20, 0.5 - 2**-21]))
    assert found[0, :, 0].tolist() == [0, 255, 128]
    assert not panels.apart(mask([0.5]), mask([0.5])).any()


def test_a_value_that_is_not_finite_has_a_colour_of_its_own() -> None:
    assert tuple(panels.apart(mask([0, 0]), mask([1, math.nan]))[0, 1]) == panels.NOT_FINITE
    assert tuple(panels.grey(mask([math.inf]), 0, 1)[0, 0]) == panels.NOT_FINITE


def test_agreement_is_painted() -> None:
    found = panels.agreeing(mask([0.5, 0.9, 0.1, 0.2]), mask([0.75, 0.4, 0.6, 0.2]))
    wanted = [panels.BOTH, panels.ONLY_TORCH, panels.ONLY_CONVERTED, panels.NEITHER]
    assert [tuple(colour) for colour in found[0].tolist()] == wanted


def test_the_dye_goes_where_the_mask_is() -> None:
    image = np.full((1, 4, 3), 120, np.uint8)
    image[0, 3] = 20
    found = panels.dyed(image, mask([0, 1, 0.5, 1]), (200, 0, 100)).astype(int)[0]
    assert found[0].tolist() == [120] * 3
    assert found[1, 1] == 0 and found[1, 0] == pytest.approx(2 * found[1, 2], abs=1) and found[1, 0] > 120
    assert found[2] == pytest.approx((found[0] + found[1]) / 2, abs=1)
    assert 0 < found[3, 0] < found[1, 0], "dark hair stays darker"


# --- the sheet -------------------------------------------------------------------------------------------------------


def plain(colour: tuple[int, int, int], high: int = 4, wide: int = 4) -> NDArray[np.uint8]:
    return np.broadcast_to(np.array(colour, np.uint8), (high, wide, 3)).copy()


def ink(sheet: Image.Image, box: tuple[int, int, int, int]) -> int:
    """Count the pixels of a part that are not paper."""
    return int((np.asarray(sheet.crop(box)) != 255).any(axis=-1).sum())


def test_panels_lie_on_a_grid() -> None:
    grid = [[RED, GREEN, BLUE], [BLUE, RED, GREEN]]
    sheet = Sheet("title", ["below"], [("row", [Panel(plain(c, 6, 12)) for c in colours]) for colours in grid])
    assert sheet.panel_size == (256, 128)
    drawn = sheet.draw()
    assert drawn.size == sheet.size
    for row, colours in enumerate(grid):
        for column, colour in enumerate(colours):
            left, top = sheet.place(row, column)
            assert drawn.crop((left, top, left + 256, top + 128)).getcolors() == [(256 * 128, colour)]


def test_texts_stay_in_their_places() -> None:
    """Long texts are cut off: margins and gaps between panels stay empty, and so do the panels."""
    long = "a text much longer than there is room for it " * 9
    panel = Panel(plain(GREEN), ((long, RED), (long, None), (long, BLUE), (long, None)), long)
    sheet = Sheet(long, [long, long], [(long, [panel] * 3)] * 2)
    drawn = sheet.draw()
    wide, high = sheet.size
    assert ink(drawn, (0, 0, wide, MARGIN)) == ink(drawn, (0, high - MARGIN + 4, wide, high)) == 0
    assert ink(drawn, (0, 0, MARGIN - 1, high)) == ink(drawn, (wide - MARGIN + 2, 0, wide, high)) == 0
    below = sheet.place(0, 0)[1] - 40
    for column in range(3):
        left, top = sheet.place(1, column)
        assert ink(drawn, (left - draw.GAP + 2, below, left - 2, high)) == 0
        assert drawn.crop((left, top, left + 256, top + 256)).getcolors() == [(256 * 256, GREEN)]
        assert ink(drawn, (left + 20, top + 260, left + 256, top + 325)) > 100, "captions are there"


def test_every_letter_is_in_the_font() -> None:
    assert draw.known("max |a - b| · 5 % … × → ä") == "max |a - b| · 5 % … ? ? ?"


def test_the_picture_shows_what_was_computed() -> None:
    image = Image.new("RGB", (4, 4), (40, 40, 40))
    one, other = np.full((4, 4), 0.75, np.float32), np.full((4, 4), 0.25, np.float32)
    drawn = compose(image, (one, other), NAMES, "net: mismatch", ["torch 1 · tensorflow 2"], (200, 0, 100))
    paper = [("", [Panel(plain(RED))] * 5)] * 2
    place = Sheet("", ["", ""], paper).place

    def at(row: int, column: int) -> Any:
        left, top = place(row, column)
        return drawn.getpixel((left + 128, top + 128))

    assert [at(row, 0) for row in (0, 1)] == [(40, 40, 40)] * 2
    assert [at(row, 1) for row in (0, 1)] == [(191,) * 3, (64,) * 3]
    assert [at(row, 2) for row in (0, 1)] == [panels.BOTH, panels.NEITHER]
    assert at(0, 3)[0] > at(1, 3)[0] > 40
    assert (at(0, 4), at(1, 4)) == ((255,) * 3, panels.ONLY_TORCH)


def test_a_picture_larger_than_its_image_shows_the_image_larger() -> None:
    """Super-resolution: the image is shown in the size of the output."""
    image = Image.new("RGB", (4, 4), (40, 40, 40))
    one = np.zeros((8, 8), np.float32)
    assert (
        compose(image, (one, one), NAMES, "", [], RED).size
        == compose(image, (one[:4, :4],) * 2, NAMES, "", [], RED).size
    )


# --- the command -----------------------------------------------------------------------------------------------------

TABLE = (
    small.SMALL.replace("id: other", "id: hair")
    .replace("{name: x, shape: [1, 4]}", "{name: photo, shape: [1, 3, 4, 8]}")
    .replace("outputs: [y]\ntiers", "outputs: [mask]\ntiers")
)
CELL = "hair/torch-1.12.1@9/new"


def answer(value: float, shape: tuple[int, ...] = (1, 1, 4, 8)) -> bytes:
    return pack({"0/mask": np.full(shape, value, np.float32)})


class Project:
    """A table with one image-to-image model, on an engine whose torch computes 0.75 everywhere."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.engine = fakes.FakeEngine(root, self._script)
        self.files = {"torch.npz": answer(0.75), "reference.npz": answer(0.75), "again.npz": answer(0.75)}
        self.files |= {"memory.npz": answer(0.75), "reloaded.npz": answer(0.75)}
        self.fails: str | None = None
        self._monkeypatch, self._capsys, self.root = monkeypatch, capsys, root
        folders = LockFolders(root / "envs", root / ".matrix" / "locks")
        for lock in small.locks(small.config(root, TABLE)).values():
            folders.write(lock, variant=False)
        monkeypatch.chdir(root)
        for name in ("MATRIX_STATE", "MATRIX_STORE", "MATRIX_ENGINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(session, "choose", self._choose)
        bands(80, 40).save(root / "photo.png")

    def _choose(self, *_: Any) -> tuple[Engine, str]:
        return self.engine, "engine fake"

    def _script(self, work: Any, spec: Mapping[str, Any]) -> fakes.Deed:
        if work == self.fails or work not in fakes.GOOD:
            return fakes.Deed(small.report("import", error=small.raised("nobody has seen this before")))
        deed = fakes.good(work, spec)
        files = {name: self.files.get(name, content) for name, content in deed.files.items()}
        if work == "export" and "torch-again.npz" in files:
            files["torch-again.npz"] = files["torch.npz"]
        return fakes.Deed(deed.report, files)

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["matrix", *arguments])
        code = cli.main()
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def picture(self, *arguments: str, cell: str = CELL, image: str = "photo.png") -> tuple[int, str, str]:
        return self("picture", cell, "--image", image, "--out", "out.png", *arguments)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(tmp_path, monkeypatch, capsys)


def test_a_picture_is_drawn(project: Project) -> None:
    code, out, err = project.picture()
    assert code == 0, err
    assert out == "out.png: match; max |torch - TensorFlow| 0.0e+00 · IoU at 0.5: 1.0000\n"
    with Image.open(project.root / "out.png") as drawn:
        assert drawn.format == "PNG" and drawn.width > 1000


def test_the_image_is_the_only_input(project: Project) -> None:
    assert project.picture()[0] == 0
    blobs = [path.read_bytes() for path in (project.root / ".matrix" / "blobs").glob("??/*")]
    wanted = to_tensor(fit(bands(80, 40), 4, 8), 3)
    assert pack({"0/photo": wanted}) in blobs


def test_the_same_again_runs_nothing_and_another_image_does(project: Project) -> None:
    project.picture()
    before = len(project.engine.seen)
    first = (project.root / "out.png").read_bytes()
    assert project.picture()[0] == 0
    assert len(project.engine.seen) == before and (project.root / "out.png").read_bytes() == first
    bands(90, 40).rotate(180).save(project.root / "photo.png")
    assert project.picture()[0] == 0
    assert len(project.engine.seen) > before


def test_what_the_cell_came_out_as_stays(project: Project) -> None:
    """A picture is of one image: it decides no cell of the table."""
    project("run", "--tier", "full", "--only", f"cell={CELL}")
    project.files["reloaded.npz"] = project.files["memory.npz"] = answer(0.25)
    assert project.picture()[1].startswith("out.png: mismatch; max |torch - TensorFlow| 5.0e-01 · IoU at 0.5: 0.0000")
    code, out, _ = project("show", CELL)
    assert code == 0 and "in 1 run" in out and "mismatch" not in out


def test_a_saved_model_that_cannot_be_loaded_is_pictured_from_memory(project: Project) -> None:
    project.fails = "reload"
    code, out, err = project.picture()
    assert code == 0, err
    assert out.startswith("out.png: error; max |torch - TensorFlow| 0.0e+00")


def test_a_conversion_that_fails_gives_no_picture(project: Project) -> None:
    project.fails = "convert"
    code, out, err = project.picture()
    assert (code, out) == (13, "") and not (project.root / "out.png").exists()
    assert "error at converter/import, unrecognised" in err
    pictured = err.split("matrix show '")[1].split("'")[0]
    assert project("show", pictured)[0] == 0


@pytest.mark.parametrize("shape", [(1, 10), (2, 1, 4, 8), (1, 1, 4, 9), (1, 1, 0, 0)])
def test_a_model_that_gives_no_image_gives_no_picture(project: Project, shape: tuple[int, ...]) -> None:
    project.files = dict.fromkeys(project.files, answer(0.75, shape))
    code, _, err = project.picture()
    assert code == 13 and "hair" in err and "x".join(map(str, shape[-2:])) in err


def test_a_larger_output_and_its_channels_are_pictured(project: Project) -> None:
    project.files = dict.fromkeys(project.files, answer(0.75, (1, 3, 8, 16)))
    assert project.picture("--channel", "2")[0] == 0
    code, _, err = project.picture("--channel", "3")
    assert code == 13 and "no channel 3" in err


def test_a_model_that_takes_no_image_gives_no_picture(project: Project) -> None:
    code, _, err = project.picture(cell="net/torch-1.12.1@9/new")
    assert code == 13 and "net takes x 2x3 float32" in err
    assert project.engine.seen == []


def test_a_part_of_a_cell_will_do(project: Project) -> None:
    code, _, err = project.picture(cell="hair/torch-1.12.1@9")
    assert code == 2 and "fits 2 cells: " in err and CELL in err
    project("run", "--tier", "full", "--only", f"cell={CELL}")
    assert project.picture(cell="hair/torch-1.12.1@9")[0] == 0, "of several, the one that was run"
    assert project.picture(cell="hair/*-1.12.1@9/n?w")[0] == 0
    code, _, err = project.picture(cell="nothing")
    assert code == 4 and "no cell like 'nothing'" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--dye", "nosuchcolour"), "is not a colour"),
        (("--out", "out.jpg"), "is a PNG"),
        (("--out", "nowhere/out.png"), "is no folder"),
        (("--out", "photo.png"), "is the image itself"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(project: Project, arguments: tuple[str, str], said: str) -> None:
    code, _, err = project.picture(*arguments)
    assert code == 2 and said in err
    assert project.engine.seen == []


def test_the_newest_run_is_not_one_for_a_picture(project: Project) -> None:
    """The run of a picture is not the newest run that a user asks for."""
    assert project("run", "--tier", "full", "--only", f"cell={CELL}", "--format", "json")[0] == 0
    assert project.picture()[0] == 0
    for command in (("status",), ("judge", "--rtol", "1e-3")):
        code, out, _ = project(*command, "--format", "json")
        found = json.loads(out)
        assert (code, found["run"], found["tier"]) == (0, 1, "full")
        # Whoever names it gets it.
        assert json.loads(project(*command, "--format", "json", "--run", "2")[1])["tier"] == "picture"
    assert "run 2 " in project("status")[1]


@pytest.mark.parametrize("command", [("status", "--format", "json"), ("judge", "--rtol", "1e-3")])
def test_where_there_are_pictures_only_no_run_is_chosen(project: Project, command: tuple[str, ...]) -> None:
    assert project.picture()[0] == 0
    code, out, _ = project(*command)
    assert code in (errors.UsageError.exit_code, errors.NothingSelected.exit_code) and out == ""


@pytest.mark.parametrize("command", [("status", "--format", "json"), ("judge", "--rtol", "1e-3")])
def test_and_what_is_missing_is_said(project: Project, command: tuple[str, ...]) -> None:
    assert project.picture()[0] == 0
    assert "None" not in project(*command)[2]
