"""Recognise a file whose content is not what its name says."""

import codecs
import os
import zipfile

_POINTER = b"version https://git-lfs.github.com/spec/"


def disguise(path):
    """Describe an empty file, a Git LFS pointer, a text file or a truncated zip file; return None for any other."""
    if os.path.getsize(path) == 0:
        return "it is empty (0 bytes)"
    with open(path, "rb") as file:
        start = file.read(4096)
    if start.startswith(_POINTER):
        return "it is a pointer of Git LFS, not the file itself (`git lfs pull` fetches that)"
    if start.startswith(b"PK\3\4") and not zipfile.is_zipfile(path):
        return "it is only the beginning of a zip file"
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)  # the last character may be incomplete
    except UnicodeDecodeError:
        return None
    # Protobuf files and pickles start with control characters.
    if all(character.isprintable() or character in "\r\n\t" for character in text):
        return "it is a text, beginning with %r" % text[:40]
    return None
