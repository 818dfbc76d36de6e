"""The profile of a run as text, JSON and timeline."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import itertools
import json
from typing import Any
from xml.etree import ElementTree

import numpy as np
from small import cell_record, observation

from matrix.history.profile import RunProfile, profile
from matrix.outputs.documents.profile import document, notes
from matrix.outputs.picture.timeline import COLOURS, timeline
from matrix.outputs.terminal.profile import print_profile
from matrix.store import Observation, PassRecord
from matrix.store.records import RunPart, RunRecord

START = 1_790_000_000.0
BEGAN = dt.datetime.fromtimestamp(START, dt.UTC)
SVG = "{http://www.w3.org/2000/svg}"

SPENT = {
    "cores": 2,
    "jobs": 1,
    "driver_cpu_seconds": 3.0,
    "children_cpu_seconds": 70.0,
    "builds": [["tf", START + 1, 9.0], ["onnx", START + 2, 4.0]],
}


def run(ended: float | None = 100, spent: Any = SPENT, **changes: Any) -> RunRecord:
    end = None if ended is None else BEGAN + dt.timedelta(seconds=ended)
    shared: dict[str, Any] = {"started": BEGAN, "ended": end, "tier": "known", "engine": "venv", "command": ""}
    shared |= {"planned": 1, "status": "complete", **changes}
    part = RunPart(uid="u", **shared, host={"spent": spent} if spent else {})
    return RunRecord(id=7, **{"jobs_run": 1, "jobs_cached": 2, **shared}, parts=(part,))


def stage(name: str, seconds: float, cpu_seconds: float | None = None) -> dict[str, Any]:
    return {"stage": name, "status": "ok", "seconds": seconds, "cpu_seconds": cpu_seconds, "shared": False}


def job(number: int, began: float, seconds: float, *stages: dict[str, Any], environment: str = "tf") -> Observation:
    record = PassRecord(
        "convert", {"stages": list(stages)}, None, None, True, seconds, "", {}, began=START + began if began else 0.0
    )
    created = BEGAN + dt.timedelta(seconds=began + seconds)
    return observation("convert", record, environment=environment, id=number, created=created)


def made(*jobs: Observation, **changes: Any) -> RunProfile:
    return profile(run(**changes), jobs or (job(1, 10, 40, stage("import", 8, 7.5), stage("run", 30, 20)),), [])


def printed(found: RunProfile) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        print_profile(found)
    return said.getvalue()


# --- text ------------------------------------------------------------------------------------------------------------


def test_text() -> None:
    said = printed(made())
    assert "run 7  2026-09-21 14:13  known  venv  complete" in said
    assert "100.0 s on 2 cores with 1 slot: 1 job run in 1 pass, 2 cached" in said
    for words in (
        ("available: cores × elapsed", "200.0", "100.0%"),
        ("stages of passes", "27.5", "13.8%"),
        ("driver", "3.0", "1.5%"),
        ("children of the driver outside stages: builds, start of workers", "42.5", "21.2%"),
        ("of these, waited: no stage used a processor", "12.5"),
        ("slots without a pass", "60.0"),
        ("builds of 2 environments", "13.0"),
        ("convert/run", "1", "30.0", "20.0", "75.0%"),
        ("outside stages", "1", "2.0", "unknown", "5.0%"),
        ("10.0", "40.0", "0.0", "convert", "tf", "1"),
    ):
        assert any(line.split() == " ".join(words).split() for line in said.splitlines()), words
    assert "passes at once: 0 for 60.0 s, 1 for 40.0 s" in said
    assert "critical path: 49.0 s in 2 steps; none of them ran for 51.0 s" in said
    assert "note:" not in said


def test_what_is_unknown_is_said_to_be() -> None:
    said = printed(made(job(1, 10, 40, {"stage": "run", "seconds": 30}), spent=None))
    assert "on an unknown number of cores with an unknown number of slots" in said
    assert "busy" not in said and said.count("note:") == 2
    for name in ("driver", "builds", "slots without a pass", "stages of passes"):
        assert any(line.split() == f"{name} unknown".split() for line in said.splitlines()), name


def test_a_lower_bound_is_marked() -> None:
    assert "≥ 20.0" in printed(made(job(1, 10, 40, stage("run", 30, 20), stage("save", 5))))


def test_only_the_longest_steps_and_rows_are_printed() -> None:
    jobs = [job(number, 10 + number, 1, environment=f"env{number:02}") for number in range(1, 41)]
    jobs[3] = job(4, 14, 0.2, environment="brief")
    found = made(*jobs)
    said = printed(found)
    assert len(found.path) == 40 and "the 25 shortest steps are not shown" in said
    assert "… and 10 more; --format json lists all" in said and "brief" not in said.split("critical path")[1]
    assert len(document(found)["critical_path"]["steps"]) == 40 and len(document(found)["environments"]) == 40


def test_names_are_not_markup() -> None:
    assert "convert/[red]x[/red]" in printed(made(job(1, 10, 40, stage("[red]x[/red]", 30, 1))))


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_document() -> None:
    found = document(made())
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["schema"], found["run"], found["wall_seconds"], found["cores"], found["slots"]) == (1, 7, 100, 2, 1)
    assert found["processor_seconds"] == {
        "available": 200,
        "stages": {"seconds": 27.5, "unknown_passes": 0},
        "driver": 3,
        "other_children": 42.5,
    }
    assert found["elapsed_seconds"] == {
        "passes": 40,
        "waited": {"seconds": 12.5, "unknown_passes": 0},
        "idle": 60,
        "builds": 13,
    }
    assert found["stages"][0] == {
        "name": "convert/run",
        "count": 1,
        "seconds": 30,
        "cpu_seconds": 20,
        "cpu_unknown": 0,
        "share": 0.75,
    }
    assert found["at_once"] == [60, 40] and found["busy"] == 0.1375 and found["notes"] == []
    assert found["builds"][0] == {"environment": "tf", "began": 1, "seconds": 9}
    assert found["critical_path"]["steps"][0]["kind"] == "build"


def test_unknown_is_null() -> None:
    found = document(made(job(1, 10, 40, {"stage": "run", "seconds": 30}), spent=None))
    assert found["cores"] is found["busy"] is found["elapsed_seconds"]["builds"] is None
    assert found["processor_seconds"]["stages"] == {"seconds": None, "unknown_passes": 1}
    assert found["stages"][0]["cpu_seconds"] is None


def test_notes() -> None:
    def said(*jobs: Observation, **changes: Any) -> str:
        return "\n".join(notes(made(*jobs, **changes)))

    assert said() == ""
    assert "has no end" in said(ended=None, spent=None)
    assert "1 of 3 jobs are stored" in said(jobs_run=3)
    assert "containers are no children" in said(engine="docker")
    assert "1 of 1 passes are not all known" in said(job(1, 10, 40, stage("run", 30, 20), stage("save", 5)))
    assert "no pass recorded processor seconds" in said(job(1, 10, 40))
    unused = observation("convert", PassRecord("convert", None, None, None, True, float("nan"), "", {}), id=2)
    assert "1 pass of unknown duration is left out" in said(job(1, 10, 40), unused)
    assert "2 passes of unknown duration are left out" in said(job(1, 10, 40), unused, unused)
    two = run()
    both = profile(RunRecord(**{**vars(two), "parts": two.parts * 2}), [job(1, 10, 40)], [cell_record()])
    assert "the run has 2 parts" in "\n".join(notes(both))


# --- timeline --------------------------------------------------------------------------------------------------------


def bars(drawn: str) -> list[tuple[str, float, float, str]]:
    """Name of the row, begin and width in pixels, and title of every bar."""
    found, name = [], ""
    for group in ElementTree.fromstring(drawn).iter(f"{SVG}g"):
        name = group.findtext(f"{SVG}text") or name
        for bar in group.iter(f"{SVG}rect"):
            title = bar.findtext(f"{SVG}title") or ""
            found.append((name, float(bar.get("x", "")), float(bar.get("width", "")), title))
    return found


def test_a_bar_for_each_stage_and_build() -> None:
    # 14 pixels a second; the start of the worker comes before its import.
    assert bars(timeline(made())) == [
        ("slot 1", 140, 28, "convert 1 · tf · convert/outside stages · 2.00 s from 10.0 s on"),
        ("slot 1", 168, 112, "convert 1 · tf · convert/import · 8.00 s (7.50 s of processor) from 12.0 s on"),
        ("slot 1", 280, 420, "convert 1 · tf · convert/run · 30.00 s (20.00 s of processor) from 20.0 s on"),
        ("builds", 14, 126, "build · tf · 9.00 s from 1.0 s on"),
        ("builds", 28, 56, "build · onnx · 4.00 s from 2.0 s on"),
    ]


def test_an_environment_stays_in_its_row() -> None:
    jobs = (
        job(1, 1, 20, environment="one"),
        job(2, 2, 8, environment="two"),
        job(3, 22, 8, environment="two"),
        job(4, 23, 8, environment="one"),
    )
    found = bars(timeline(made(*jobs, spent=None)))
    assert [(row, title.split(" · ")[1]) for row, _, _, title in found] == [
        ("slot 1", "one"),
        ("slot 1", "one"),
        ("slot 2", "two"),
        ("slot 2", "two"),
    ]


def test_short_bars_are_merged() -> None:
    short = [job(number, 10 + number / 1000, 0.001, stage("run", 0.001)) for number in range(1, 20_000)]
    found = bars(timeline(made(*short, spent=None)))
    assert 100 < len(found) < 600 and all(width >= 1 for _, _, width, _ in found)
    assert "more too short to be drawn" in found[0][3]
    assert sum(width for _, _, width, _ in found) <= 20 * 14 + 2


def test_two_thousand_jobs_stay_small() -> None:
    stages = [stage(name, 1, 0.9) for name in ("import", "convert", "run", "save", "reload")]
    jobs = [
        job(number, 1 + number // 8 * 6, 5.5, *stages, environment=f"onnxtf1.10.0-onnx1.10.2-tf2.{number % 8}.0")
        for number in range(2_000)
    ]
    drawn = timeline(made(*jobs, ended=1600))
    assert len(drawn) < 4_000_000 and len({row for row, *_ in bars(drawn)}) == 9


def test_it_stands_alone_and_its_texts_are_escaped() -> None:
    evil = "</title><script>\x00\u202e&\"'\ud800"
    drawn = timeline(made(job(1, 10, 40, stage(evil, 30), environment=evil), tier=evil))
    root = ElementTree.fromstring(drawn.encode())
    allowed = {f"{SVG}{name}" for name in ("svg", "title", "style", "rect", "text", "line", "g")}
    assert {element.tag for element in root.iter()} <= allowed
    assert "url(" not in drawn and "href" not in drawn and "@import" not in drawn and "\u202e" not in drawn
    assert "&lt;/title&gt;&lt;script&gt;&amp;" in drawn


def test_a_run_of_no_time_can_be_drawn() -> None:
    assert ElementTree.fromstring(timeline(made(job(1, 0, 0), ended=0))) is not None


# The simulation of Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
SIGHT = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.072175), (0.0193339, 0.119192, 0.9503041))


def lab(colour: str, sight: Any) -> Any:
    """CIE L*a*b* of a colour as someone sees it."""
    rgb = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array(XYZ) @ np.clip(np.array(sight) @ linear, 0, 1) / (0.95047, 1, 1.08883)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array((116 * y - 16, 500 * (x - y), 200 * (y - z)))


def test_colours_are_told_apart_with_any_colour_vision() -> None:
    for name, sight in SIGHT.items():
        seen = {stage: lab(colour, sight) for stage, colour in COLOURS.items()}
        for one, other in itertools.combinations(seen, 2):
            # 2.3 is just noticeable.
            assert np.linalg.norm(seen[one] - seen[other]) > 15, (name, one, other)
