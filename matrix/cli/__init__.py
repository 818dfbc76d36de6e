"""The command line. Only click is imported here: `--help` has to be quick, commands import what they need."""

from __future__ import annotations

import sys

import click

from matrix import __version__
from matrix.cli.options import CommandGroup

EPILOG = """\b
Exit codes: 0 done, 1 a fault of this program, 2 wrong usage, 3 bad configuration, 4 nothing selected,
5 unexpected verdicts, 6 engine unavailable, 7 cells that could not be measured (network, disk, engine),
8 state folder in use, 9 a lock is stale (--locked), 10 runs that differ (compare),
11 no packages fulfil the pins (image), 12 a failure of no known kind (explain),
13 no picture to draw (picture), 14 the model that was given is unusable,
15 no toolchain within the constraints was proven (pick), 16 releases that the table does not know
(update --check), 17 no cure was found (blame), 18 a cell that matched before does not any more (compare),
130 interrupted.
"""


@click.group(
    cls=CommandGroup,
    summaries={
        "plan": "Show what a run would do, without doing it.",
        "lock": "Resolve environments with uv and write their locks to envs/.",
        "update": "Add rows for new releases of torch, onnx, onnx-tf and tensorflow to the table.",
        "build": "Build the environments a run would need.",
        "run": "Convert in every selected combination and print the table of verdicts.",
        "coverage": "Measure which operators each converter gets right.",
        "predict": "Say what a model will come to with each toolchain, without converting it.",
        "pick": "Find the toolchain for a model, prove it, and hand it over as files.",
        "blame": "Find out who broke a cell that once worked, and what cures it today.",
        "status": "Show past runs, or the table of one.",
        "show": "Explain one cell: stage, reason, remedy, log, versions, how to reproduce it.",
        "compare": "Say whether two runs found the same, what broke between them, and why.",
        "dashboard": "Build the static site: matrix, cells, rows, reasons, trends, changes, badges.",
        "export": "Write runs as plain files, for another machine or a data branch.",
        "import": "Take in runs that another machine exported.",
        "merge": "Unite exports of several machines into one.",
        "history": "Keep changes for ever, and duplicates for a while.",
        "ci": "What a nightly run in CI needs: shards, summary, issues.",
        "judge": "Judge a stored run again under other tolerances.",
        "explain": "Say what a pasted traceback or log means, and what helps.",
        "picture": "Draw what torch and TensorFlow make of one image, side by side.",
        "bases": "Make, pin or list the base images of the docker engine.",
        "image": "Make an image of one toolchain, to take away.",
        "clean": "Remove environments and files nothing needs any more.",
        "doctor": "Say what this machine can and cannot run, and why.",
        "schema": "Print the JSON Schema of matrix.yml.",
    },
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="matrix")
def cli() -> None:
    """Which versions carry a PyTorch model into TensorFlow?

    Builds an environment for each ONNX / onnx-tf / TensorFlow combination of matrix.yml, runs the same
    PyTorch → ONNX → TensorFlow conversion in each, and says which succeed with the same numbers.

    \b
    Begin with:
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
        # Somebody piped into head: not an error, but Python must not try to flush again.
        sys.stderr.close()
        return 0
    return 0
