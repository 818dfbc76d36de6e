"""External data of an ONNX model: list its files, never outside the model's folder, and embed them."""

import os

from converter.tensors import EXTERNAL, MEGABYTE, STRING, TensorLargerThanItsData, size, stored

# Largest size of a protobuf message.
LIMIT = 2**31 - 1


class ExternalDataOutside(ValueError):
    pass


class ExternalDataBroken(ValueError):
    pass


class ModelTooLarge(ValueError):
    pass


def locations(model):
    """Return the files with external data of a ModelProto, sorted, as paths relative to the model's folder.

    Raises ExternalDataOutside for any other path and ExternalDataBroken if a tensor names none.
    """
    return sorted({_location(where, tensor) for where, tensor in stored(model) if tensor.data_location == EXTERNAL})


def _location(where, tensor):
    location = _entries(tensor).get("location", "")
    if not location or "\0" in location:
        raise ExternalDataBroken("%s is in another file, but the model does not say in which" % where)
    # Backslashes and drives matter on Windows, where the file may have been written or will be read.
    parts = location.replace("\\", "/").split("/")
    if parts[0] == "" or ".." in parts or ":" in parts[0] or parts[-1] in ("", "."):
        raise ExternalDataOutside("%s has its data in %r, outside of the model's folder" % (where, location))
    return location


def _entries(tensor):
    return {entry.key: entry.value for entry in tensor.external_data}


def embed(model, folder):
    """Embed the data of all external tensors, read from files of `folder`.

    All sizes are checked first. Raises ModelTooLarge if the result would exceed protobuf's limit,
    TensorLargerThanItsData if a file is too short, and ExternalDataBroken if a tensor's entries are inconsistent.
    """
    pieces = [(where, tensor) for where, tensor in stored(model) if tensor.data_location == EXTERNAL]
    total = model.ByteSize() + sum(size(where, tensor) for where, tensor in pieces)
    check_size(total, "with the data of its external files")
    for where, tensor in pieces:
        path, offset, length = _piece(where, tensor, folder)
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read(length)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data


def _piece(where, tensor, folder):
    entries = _entries(tensor)
    path = os.path.join(folder, _location(where, tensor))
    if tensor.data_type == STRING:
        raise ExternalDataBroken("%s is of strings, which cannot be in another file" % where)
    length = size(where, tensor)
    there = os.path.getsize(path)
    try:
        offset = int(entries.get("offset") or 0)
        said = int(entries.get("length") or length)
    except ValueError as problem:
        raise ExternalDataBroken("%s says that its data is at %r" % (where, entries)) from problem
    if offset < 0 or said != length:
        raise ExternalDataBroken(
            "%s takes %d bytes; the model says they are %d bytes at %d" % (where, length, said, offset)
        )
    if offset + length > there:
        raise TensorLargerThanItsData(
            "%s needs bytes %d to %d of %s, which has %d" % (where, offset, offset + length, entries["location"], there)
        )
    return path, offset, length


def check_size(total, words):
    if total > LIMIT:
        raise ModelTooLarge("%s the model takes %.0f MB; one file holds 2048 MB" % (words, total / MEGABYTE))
