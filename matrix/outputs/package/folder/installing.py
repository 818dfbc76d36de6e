"""The files that make the environments: requirements for pip and uv, for conda, for tox and for Docker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from matrix.outputs.package.folder.choice import Choice, PackagePart

UNPROVEN = "not proven until it has run on a machine with a conda channel"

# The folder in the image with the parts that have their own system.
_ROOTS = "/roots"

EXTRA = """\
The image is built with the files in this folder: wheels that are in no package index (a CPU build of torch, say), and
a pip.conf for your own index, proxy or certificate, which names other files here as /extra/FILE. None of them stays in
the image.
"""


def requirements(part: PackagePart) -> str:
    """Return the file for `pip install --no-deps --require-hashes -r` and `uv pip sync --require-hashes`."""
    lock = part.lock
    lines = [
        f"# {' and '.join(part.roles)}, Python {lock.python}, Linux x86-64: every package that was measured.",
        "# pip install --no-deps --require-hashes -r requirements.txt",
        "# uv pip sync --require-hashes requirements.txt",
        "# --no-deps: this list is complete, and the requirements that old packages state do not always work.",
    ]
    if part.pip_only:
        local = ", ".join(f"{name} {version}" for name, version in lock.packages.items() if "+" in version)
        lines.append(f"# {local}: in no package index; both take --find-links FOLDER, the folder with the wheel.")
    return "\n".join(lines) + "\n" + lock.body


def conda(part: PackagePart) -> str:
    """Return environment.yml: Python and pip from a channel, everything else as it was locked."""
    pins = [" ".join(text.replace("\\\n", " ").split()) for text in part.lock.requirements.values()]
    python: list[Any] = [f"python={part.lock.python}", "pip"]
    document = {"name": part.name, "channels": ["conda-forge", "nodefaults"], "dependencies": [*python, {"pip": pins}]}
    head = (
        f"# {UNPROVEN[0].upper()}{UNPROVEN[1:]}.\n"
        f"# PIP_NO_DEPS=1 PIP_REQUIRE_HASHES=1 conda env create --prefix {part.prefix}env --file environment.yml\n"
        "# convert.py looks for it under --prefix. The list under `pip` is complete, so pip must not add to it.\n"
    )
    return head + yaml.safe_dump(document, sort_keys=False, width=10_000)


def tox(parts: Sequence[PackagePart]) -> str:
    """Return tox.ini: one environment for each part, and the conversion, which `tox run` does."""
    names = ", ".join(part.name for part in parts)
    lines = [
        "[tox]",
        # uv makes environments of Pythons that virtualenv no longer supports.
        "requires =",
        "    tox>=4.18",
        "    tox-uv>=1.16",
        f"env_list = {names}, convert",
        "no_package = true",
        "",
        "# uv makes the environments of the parts: tox would first query an old Python with code too new for it.",
        "[testenv]",
        "deps = uv",
        "pass_env =",
        "    UV_*",
        "    SSL_CERT_*",
        "    PYENV_ROOT",
    ]
    for part in parts:
        folder = f"{{work_dir}}/{part.name}-python"
        file = f"{{tox_root}}/{part.prefix}requirements.txt"
        lines += [
            "",
            f"[testenv:{part.name}]",
            f"description = make the {part.name} environment",
            "commands =",
            f"    uv venv --clear --quiet --no-project --python {part.lock.python} {folder}",
            f"    uv pip sync --quiet --require-hashes --python {folder}/bin/python {file}",
        ]
    pythons = " ".join(
        f"--{role}-python {{work_dir}}/{part.name}-python/bin/python" for part in parts for role in part.roles
    )
    lines += [
        "",
        "[testenv:convert]",
        "description = convert the model, and compare",
        "skip_install = true",
        "deps =",
        f"depends = {names}",
        f"commands = python {{tox_root}}/convert.py {pythons} {{posargs}}",
    ]
    return "\n".join(lines) + "\n"


def dockerfile(choice: Choice) -> str:
    """Return the Dockerfile of one image for all parts. The converter's system is the image's own; that of another part
    is copied whole, with its loader and its C library, since their ages may differ."""
    native = choice.native
    others = [part for part in choice.parts if part is not native]
    lines = [
        "# docker build --tag my-conversion .      (extra/README: how to add wheels, or your own index)",
        *(f"ARG {_base(part)}=python:{part.lock.python}-slim" for part in choice.parts),
    ]
    for part in choice.parts:
        lines += ["", *_stage(part, part is native)]
    # Older packages of the base would stay beside those copied.
    lines += ["", f"FROM ${{{_base(native)}}}", "RUN rm -rf /usr/local/*"]
    lines += [f"COPY --from={native.name} /usr/local /usr/local"]
    lines += [f"COPY --from={part.name} / {_ROOTS}/{part.name}" for part in others]
    # Any user of the container reads `toolkit`.
    lines += ["COPY convert.py /handover/convert.py", "COPY toolkit /handover/toolkit"]
    lines += ["RUN chmod -R a+rX /handover", "ENV HOME=/tmp PYTHONNOUSERSITE=1", "USER 65534:65534", "WORKDIR /tmp"]
    words = ["python3", "/handover/convert.py", "--output", "/out/converted"]
    for part in choice.parts:
        for role in part.roles:
            words += [f"--{role}-python", "python3" if part is native else f"{_ROOTS}/{part.name}/python"]
    entry = ", ".join(f'"{word}"' for word in words)
    return "\n".join([*lines, f"ENTRYPOINT [{entry}]"]) + "\n"


def _base(part: PackagePart) -> str:
    return f"{part.name.upper()}_BASE"


def _stage(part: PackagePart, native: bool) -> list[str]:
    lines = [
        f"FROM ${{{_base(part)}}} AS {part.name}",
        "COPY extra /extra",
        f"COPY {part.prefix}requirements.txt /requirements.txt",
        # The pip of an old base knows neither today's index nor the names of newer wheels.
        "RUN export PIP_CONFIG_FILE=/extra/pip.conf PIP_FIND_LINKS=/extra && \\",
        "    pip3 install --quiet --no-cache-dir --upgrade pip && \\",
        "    pip3 install --quiet --no-cache-dir --no-deps --require-hashes -r /requirements.txt && \\",
        "    rm -rf /extra /root/.cache",
    ]
    if not native:
        # The loader is started by name, so that it finds the libraries of its own system.
        root = f"{_ROOTS}/{part.name}"
        libraries = ":".join(
            f"$root/{place}" for place in ("usr/local/lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
        )
        lines += [
            f"RUN printf '#!/bin/sh\\nroot={root}\\nexec $root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2 "
            f'--library-path {libraries} $root%s "$@"\\n\' \\',
            '    "$(readlink -f "$(command -v python3)")" >/python && chmod 755 /python',
        ]
    return lines
