"""The files that make the environments: requirements for pip and uv, for conda, for tox and for Docker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from matrix.outputs.package.folder.choice import Choice, PackagePart

UNPROVEN = "not proven until a machine with a conda channel has run it"

# Where the parts of the image lie that have a system of their own.
_ROOTS = "/roots"

EXTRA = """\
The image is built with what lies here: wheels that the package index does not have (a CPU build of torch, say), and a
pip.conf, for an index, a proxy or a certificate of your own; a file beside it is /extra/FILE in there. Nothing of it
stays in the image.
"""


def requirements(part: PackagePart) -> str:
    """What `pip install --no-deps --require-hashes -r` and `uv pip sync --require-hashes` take."""
    lock = part.lock
    lines = [
        f"# {' and '.join(part.roles)}, Python {lock.python}, Linux x86-64: what was measured, every package of it.",
        "# pip install --no-deps --require-hashes -r requirements.txt",
        "# uv pip sync --require-hashes requirements.txt",
        "# --no-deps: this list is whole, and what old packages say they need is not always what works.",
    ]
    if part.pip_only:
        local = ", ".join(f"{name} {version}" for name, version in lock.packages.items() if "+" in version)
        lines.append(f"# {local}: in no package index; both take --find-links FOLDER, the folder with its wheel.")
    return "\n".join(lines) + "\n" + lock.body


def conda(part: PackagePart) -> str:
    """environment.yml: Python and pip from a channel, everything else as it was locked."""
    pins = [" ".join(text.replace("\\\n", " ").split()) for text in part.lock.requirements.values()]
    python: list[Any] = [f"python={part.lock.python}", "pip"]
    document = {"name": part.name, "channels": ["conda-forge", "nodefaults"], "dependencies": [*python, {"pip": pins}]}
    head = (
        f"# {UNPROVEN[0].upper()}{UNPROVEN[1:]}.\n"
        f"# PIP_NO_DEPS=1 PIP_REQUIRE_HASHES=1 conda env create --prefix {part.prefix}env --file environment.yml\n"
        "# --prefix puts it where convert.py looks. The list under `pip` is whole, so pip must not add to it.\n"
    )
    return head + yaml.safe_dump(document, sort_keys=False, width=10_000)


def tox(parts: Sequence[PackagePart]) -> str:
    """tox.ini: one environment for each part, and the conversion, which is what `tox run` does."""
    names = ", ".join(part.name for part in parts)
    lines = [
        "[tox]",
        # uv makes environments of Pythons that virtualenv has given up.
        "requires =",
        "    tox>=4.18",
        "    tox-uv>=1.16",
        f"env_list = {names}, convert",
        "no_package = true",
        "",
        "# uv itself makes the Pythons of the parts: tox would first ask an old Python about itself, in words that",
        "# it does not know.",
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
    """One image for all parts. The converter's system is the image's own; another part's is carried whole, with its
    loader and its C library, for no two of them need to be of one age."""
    native = choice.native
    others = [part for part in choice.parts if part is not native]
    lines = [
        "# docker build --tag my-conversion .      (extra/README says how to add wheels, or an index of your own)",
        *(f"ARG {_base(part)}=python:{part.lock.python}-slim" for part in choice.parts),
    ]
    for part in choice.parts:
        lines += ["", *_stage(part, part is native)]
    # What the base has of older packages would stay beside what is copied.
    lines += ["", f"FROM ${{{_base(native)}}}", "RUN rm -rf /usr/local/*"]
    lines += [f"COPY --from={native.name} /usr/local /usr/local"]
    lines += [f"COPY --from={part.name} / {_ROOTS}/{part.name}" for part in others]
    # `toolkit` is read by whatever user the container has.
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
        # The pip of an old base knows neither the index of today nor the names of wheels that came after it.
        "RUN export PIP_CONFIG_FILE=/extra/pip.conf PIP_FIND_LINKS=/extra && \\",
        "    pip3 install --quiet --no-cache-dir --upgrade pip && \\",
        "    pip3 install --quiet --no-cache-dir --no-deps --require-hashes -r /requirements.txt && \\",
        "    rm -rf /extra /root/.cache",
    ]
    if not native:
        # The loader is started by name, so that the libraries it finds are those of its own system.
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
