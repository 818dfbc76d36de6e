"""Read checkpoints in the zip format that torch writes from 1.6 on, for older releases, which cannot.

The archive holds <name>/data.pkl, a pickle whose tensors refer to storages, and <name>/data/<key>, the bytes of each
(little-endian); see `_save` and `_legacy_save` in torch/serialization.py. Unpickling is limited to what tensors need,
so that it cannot run code; any other global is an error.
"""

import pickle
import zipfile
from collections import OrderedDict

import numpy

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}


class Unreadable(ValueError):
    """The file cannot be read; the message completes the sentence "the checkpoint cannot be read: ..."."""


class _Kind:
    """A placeholder for torch.FloatStorage and other storage classes."""

    def __init__(self, name):
        self.name = name


class _Storage:
    def __init__(self, kind, elements):
        self.kind = kind
        self.elements = elements


def is_zipped(path):
    return zipfile.is_zipfile(path)


def read_zipped(path, torch):
    """Return the content of such a file with tensors on the CPU. Raises Unreadable."""
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise Unreadable("it is a zip file, but none that torch.save wrote")
        root = pickles[0][: -len("data.pkl")]
        order = root + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise Unreadable("it was written on a big-endian machine")
        with archive.open(pickles[0]) as file:
            return _Reader(file, archive, root, torch).load()


class _Reader(pickle.Unpickler):
    def __init__(self, file, archive, root, torch):
        super().__init__(file)
        self._archive = archive
        self._root = root
        self._torch = torch
        self._storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self._tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_: tensor
        if module == "torch" and name in _DTYPES:
            return _Kind(name)
        raise Unreadable(
            "it holds %s.%s, which torch %s cannot take from the format of torch 1.6 and newer; save "
            "model.state_dict(), or save with _use_new_zipfile_serialization=False"
            % (module, name, self._torch.__version__)
        )

    def persistent_load(self, reference):
        tag, kind, key, _, count = reference
        if tag != "storage" or not isinstance(kind, _Kind):
            raise Unreadable("it refers to a %r, tensors were expected" % (tag,))
        if key not in self._storages:
            raw = self._archive.read("%sdata/%s" % (self._root, key))
            dtype = numpy.dtype(_DTYPES[kind.name])
            if len(raw) < count * dtype.itemsize:
                raise Unreadable(
                    "storage %s has %d bytes, %d elements of %s were promised" % (key, len(raw), count, dtype)
                )
            elements = numpy.frombuffer(raw, dtype, count) if count else numpy.zeros(0, dtype)
            self._storages[key] = _Storage(kind.name, elements)
        return self._storages[key]

    def _tensor(self, storage, offset, size, stride, *_):
        last = offset + sum((extent - 1) * step for extent, step in zip(size, stride))
        if min(size + stride + (offset,)) < 0 or (0 not in size and last >= len(storage.elements)):
            raise Unreadable("a tensor of shape %s reaches beyond its storage" % (list(size),))
        if 0 in size:
            array = numpy.zeros(size, storage.elements.dtype)
        else:
            step = storage.elements.itemsize
            view = numpy.lib.stride_tricks.as_strided(
                storage.elements[offset:], size, tuple(step * number for number in stride)
            )
            array = numpy.array(view)  # a copy: the bytes of the archive are read-only
        if storage.kind == "BFloat16Storage":  # the upper half of a float32
            array = (array.astype("uint32") << 16).view("float32").reshape(size)
        try:
            return self._torch.from_numpy(array)
        except TypeError:  # torch 1.0 has no int8 and bool; load_state_dict converts to the module's dtype
            return self._torch.from_numpy(array.astype("int64"))
