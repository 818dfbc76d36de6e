"""The command line. Only click is imported here, because `--help` has to be quick: commands import what they need."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Mapping
from typing import Any

import click

from matrix import __version__

EPILOG = """\b
Exit codes: 0 done, 1 a bug in this program, 2 wrong usage, 3 wrong matrix.yml, 4 nothing selected,
5 unexpected verdicts, 6 engine unavailable, 7 cells that could not be measured (network, disk, engine),
8 state folder in use, 9 a lock is stale (--locked), 10 runs that differ (compare),
11 no packages fulfil the pins (image), 12 an unrecognised failure (explain),
13 no picture to draw (picture), 14 the given model is unusable,
15 no toolchain within the constraints could be verified (pick), 16 releases that are not in the table
(update --check), 17 no fix was found (blame), 18 a cell that matched before no longer does (compare),
130 interrupted.
"""


class CommandGroup(click.Group):
    """Load a command from the module of its name when it is called; `summaries` are the lines of the help."""

    def __init__(self, *args: Any, summaries: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._summaries:
            return None
        # `import` is a keyword.
        name = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command = getattr(importlib.import_module(f"matrix.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*self._summaries.items()])


@click.group(
    cls=CommandGroup,
    summaries={
        "plan": "Show what a run would do.",
        "lock": "Resolve environments with uv and write their locks to envs/.",
        "update": "Add rows for new releases of torch, onnx, onnx-tf and tensorflow to the table.",
        "build": "Build the environments a run would need.",
        "run": "Convert with every selected combination and print the table of verdicts.",
        "coverage": "Measure which operators each converter gets right.",
        "predict": "Predict the outcome of each toolchain without converting.",
        "pick": "Find a toolchain for a model, verify it by converting, and write it to files.",
        "blame": "Find the package release that broke a cell, and a pin that fixes it.",
        "status": "Show past runs, or the table of one.",
        "show": "Show one cell: stage, reason, remedy, log, versions, how to reproduce it.",
        "compare": "Compare two runs: what differs, what broke between them, and why.",
        "profile": "Show where the time of a run went: stages, environments, critical path.",
        "dashboard": "Build the static site: matrix, cells, rows, reasons, trends, changes, badges.",
        "export": "Write runs to plain files, for another machine or a data branch.",
        "import": "Add runs that another machine exported to the history.",
        "merge": "Merge the exports of several machines.",
        "history": "Prune stored history.",
        "ci": "Run in CI: shards, summary, issues.",
        "judge": "Judge a stored run again with other tolerances.",
        "explain": "Explain a pasted traceback or log, and what helps.",
        "picture": "Draw the output of torch and of TensorFlow for one image, side by side.",
        "bases": "Make, pin or list the base images of the docker engine.",
        "image": "Make a container image of one toolchain.",
        "clean": "Remove environments and files that are no longer needed.",
        "doctor": "Check what this machine can run.",
        "schema": "Print the JSON Schema of matrix.yml.",
    },
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)  # fmt: skip
@click.version_option(__version__, prog_name="matrix")
def cli() -> None:
    """Which versions carry a PyTorch model into TensorFlow?

    Builds an environment for each ONNX / onnx-tf / TensorFlow combination of matrix.yml, runs the same
    PyTorch → ONNX → TensorFlow conversion in each, and reports which succeed with the same numbers.

    \b
    Start with:
      python -m matrix run                                  one converter per TensorFlow generation
      python -m matrix run --only 'tensorflow~=2.8.0'       what works with my TensorFlow?
      python -m matrix run --tier each --only python==3.9   … with my Python?
      python -m matrix show 'CELL'                          why did that fail, and what helps?
    """


def main() -> int:
    """Run the command line and return its exit code."""
    from matrix.core.errors import Interrupted, MatrixError

    try:
        cli.main(prog_name="python -m matrix", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return Interrupted.exit_code
    except MatrixError as error:
        if str(error):
            print(f"matrix: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The output was piped into `head`: not an error, but Python must not try to flush again.
        sys.stderr.close()
        return 0
    return 0
