"""Compile an environment's sources ahead of time, the same bytes on every build.

    PYTHON compile.py ROOT

Without .pyc files importing TensorFlow takes two to three times as long, and a read-only image can never make them.
Only sources without a .pyc are looked at: a layer must not rewrite what the layers below it hold.
"""
import os
import py_compile
import subprocess
import sys

# Parts worked off at once, each by a process of its own in a fixed order: what ends up in a .pyc depends a little on
# what its process compiled before, so neither their number nor their content may depend on the machine.
PARTS = 4

# .pyc files of Python 3.6 name their source's time of change, so it is the same in every build: 1980-01-01, the first
# day a wheel can name.
EPOCH = 315532800


def uncompiled(root):
    """Every .py file below root without a .pyc, sorted; not those of test suites, which no job imports, nor of the
    packages that lie inside Python's own library."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in ("tests", "site-packages", "__pycache__"))
        cached = os.path.join(folder, "__pycache__")
        there = set(os.listdir(cached)) if os.path.isdir(cached) else set()
        for name in sorted(files):
            if name.endswith(".py") and name[:-2] + sys.implementation.cache_tag + ".pyc" not in there:
                found.append(os.path.join(folder, name))
    return found


def compile_one(path):
    os.utime(path, (EPOCH, EPOCH))
    try:
        if sys.version_info >= (3, 7):
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(path, doraise=True, invalidation_mode=mode)
        else:
            py_compile.compile(path, doraise=True)
    except (py_compile.PyCompileError, UnicodeError):
        # Templates and Python 2 code that wheels carry along: nobody can import it either.
        pass


def main():
    if sys.argv[1:2] == ["--part"]:
        for path in sys.stdin.read().split("\0"):
            compile_one(path)
        return
    paths = uncompiled(sys.argv[1])
    parts = [part for part in (paths[start::PARTS] for start in range(PARTS)) if part]
    env = dict(os.environ, PYTHONHASHSEED="0")
    workers = []
    for part in parts:
        worker = subprocess.Popen([sys.executable, __file__, "--part"], stdin=subprocess.PIPE, env=env)
        worker.stdin.write("\0".join(part).encode(sys.getfilesystemencoding(), "surrogateescape"))
        worker.stdin.close()
        workers.append(worker)
    failed = [worker for worker in workers if worker.wait() != 0]
    if failed:
        sys.exit("compiling failed in %d of %d processes" % (len(failed), len(workers)))


if __name__ == "__main__":
    main()
