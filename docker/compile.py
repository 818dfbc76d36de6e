"""Compile an environment's sources ahead of time, the same bytes on every build.

    PYTHON compile.py ROOT CACHE [--base]

Without .pyc files importing TensorFlow takes two to three times as long, and a read-only image can never make them.
Only sources without a .pyc are looked at: a layer must not rewrite what the layers below it hold. With --base the
sources themselves are in a layer below, and stay as they are. What was compiled is kept in the folder CACHE, because
that takes longer than all the rest of a build whose packages are at hand.
"""
import hashlib
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


def settle(path, cache, base):
    """Give a source its .pyc, out of the cache or into it."""
    if not base:
        os.utime(path, (EPOCH, EPOCH))
    with open(path, "rb") as file:
        source = file.read()
    # The path is part of what is compiled: tracebacks show it. So is the time of change, up to Python 3.6.
    words = (sys.version.encode(), os.fsencode(path), source, str(int(os.path.getmtime(path))).encode())
    name = hashlib.sha256(b"\0".join(hashlib.sha256(word).digest() for word in words)).hexdigest()
    kept = os.path.join(cache, name[:2], name)
    target = os.path.join(
        os.path.dirname(path), "__pycache__", os.path.basename(path)[:-2] + sys.implementation.cache_tag + ".pyc"
    )
    if os.path.exists(kept):
        copy(kept, target)
    elif compiled(path, target):
        copy(target, kept)


def copy(source, target):
    """Whole or not at all: another build may be reading or writing it, with the same process ids as this one."""
    os.makedirs(os.path.dirname(target), exist_ok=True)
    scratch = "%s.%s" % (target, os.urandom(8).hex())
    with open(source, "rb") as old, open(scratch, "wb") as new:
        new.write(old.read())
    os.replace(scratch, target)


def compiled(path, target):
    try:
        if sys.version_info >= (3, 7):
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            py_compile.compile(path, cfile=target, doraise=True, invalidation_mode=mode)
        else:
            py_compile.compile(path, cfile=target, doraise=True)
    except (py_compile.PyCompileError, UnicodeError):
        # Templates and Python 2 code that wheels carry along: nobody can import it either.
        return False
    return True


def main():
    base = sys.argv[-1] == "--base"
    if sys.argv[1:2] == ["--part"]:
        for path in sys.stdin.buffer.read().split(b"\0"):
            settle(os.fsdecode(path), sys.argv[2], base)
        return
    root, cache = sys.argv[1:3]
    paths = uncompiled(root)
    parts = [part for part in (paths[start::PARTS] for start in range(PARTS)) if part]
    env = dict(os.environ, PYTHONHASHSEED="0")
    workers = []
    for part in parts:
        worker = subprocess.Popen(
            [sys.executable, __file__, "--part", cache] + ["--base"] * base, stdin=subprocess.PIPE, env=env
        )
        worker.stdin.write(b"\0".join(map(os.fsencode, part)))
        worker.stdin.close()
        workers.append(worker)
    failed = [worker for worker in workers if worker.wait() != 0]
    if failed:
        sys.exit("compiling failed in %d of %d processes" % (len(failed), len(workers)))


if __name__ == "__main__":
    main()
