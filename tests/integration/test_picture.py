"""The picture of real models on one image: it shows what torch and TensorFlow actually computed."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from product import Finished, Project
from tables import EXPORTER, OPSET, ROOT, TF1, TF2

from matrix.judging.arrays import UnreadableArrays, read_arrays
from matrix.outputs.picture.preprocess import fit, read_image, to_tensor

SAMPLE = ROOT / "samples" / "portrait.png"


def picture(real: Project, cell: str, out: Path) -> Finished:
    return real.call("picture", cell, "--image", str(SAMPLE), "--out", str(out))


@pytest.mark.parametrize("converter", [TF1, TF2])
def test_the_article_s_network_is_pictured(real: Project, tmp_path: Path, converter: str) -> None:
    cell = f"mobilehairnet/{EXPORTER}@{OPSET}/{converter}"
    done = picture(real, cell, tmp_path / "one.png")
    assert done.code == 0, done.err
    said = re.search(r"match; max \|torch - TensorFlow\| (\S+) · IoU at 0.5: (\S+)", done.out)
    assert said, done.out

    def newest(kind: str, file: str) -> dict[str, np.ndarray]:
        passes = real.payloads(kind)[-1]["passes"]
        return read_arrays(next(real.blob(p["files"][file]) for p in passes if file in p["files"]))

    (torch,), (converted,) = newest("export", "torch.npz").values(), newest("convert", "reloaded.npz").values()
    assert torch.shape == converted.shape == (1, 1, 224, 224), "one case: the image"
    assert float(said[1]) == pytest.approx(np.abs(torch.astype(float) - converted).max(), rel=0.05)
    assert float(said[1]) < 1e-5
    assert 0.1 < (torch >= 0.5).mean() < 0.9, "the mask tells something from something else"
    with Image.open(tmp_path / "one.png") as drawn:
        assert drawn.format == "PNG" and drawn.width > 5 * 224

    observed = real.observed()
    again = picture(real, cell, tmp_path / "two.png")
    assert again.code == 0 and real.observed() == observed, "nothing is run again"
    assert (tmp_path / "two.png").read_bytes() == (tmp_path / "one.png").read_bytes()


def test_the_network_saw_the_image(real: Project, tmp_path: Path) -> None:
    """Check that exactly this input was used: its bytes are in the store."""
    assert picture(real, f"mobilehairnet/{EXPORTER}@{OPSET}/{TF1}", tmp_path / "one.png").code == 0
    wanted = to_tensor(fit(read_image(SAMPLE), 224, 224), 3)
    inputs = []
    for path in (real.state / "blobs").glob("??/*"):
        if path.stat().st_size < 2 * wanted.nbytes and path.read_bytes()[:2] == b"PK":
            # Models of other tests in this --state may leave unreadable files.
            with contextlib.suppress(UnreadableArrays):
                inputs += [array for key, array in read_arrays(path).items() if key == "0/image"]
    assert any(np.array_equal(array, wanted) for array in inputs)


def test_an_export_that_fails_gives_no_picture(real: Project, tmp_path: Path) -> None:
    done = picture(real, f"mobilehairnet/{EXPORTER}@7/{TF1}", tmp_path / "none.png")
    assert done.code == 13 and "error at exporter/export, exporter-op-missing" in done.err
    assert not (tmp_path / "none.png").exists()


def test_a_model_of_other_things_than_images_gives_no_picture(real: Project, tmp_path: Path) -> None:
    done = picture(real, f"gestures/{EXPORTER}@{OPSET}/{TF1}", tmp_path / "none.png")
    assert done.code == 13 and "gestures takes readings 12x8x16 float32" in done.err
