"""Arrays in and out of a job: .npz files with keys "<case>/<tensor name>", where cases count 0, 1, 2, ..."""

import os

import numpy


def read_cases(path):
    """The cases of an .npz file in order, each a dict {tensor name: array}. ValueError for object arrays (reading
    those would run code) and where there is no case."""
    cases: dict = {}
    with numpy.load(path, allow_pickle=False) as file:
        for key in file.files:
            case, name = key.split("/", 1)
            cases.setdefault(int(case), {})[name] = file[key]
    if not cases:
        raise ValueError("%s holds no case" % path)
    return [cases[case] for case in sorted(cases)]


def write_cases(path, cases):
    """Writes a list of dicts {tensor name: array}; the file is complete or absent. TypeError for object arrays."""
    flat: dict = {}
    for case, tensors in enumerate(cases):
        for name, array in tensors.items():
            array = numpy.asarray(array)
            if array.dtype.hasobject:
                raise TypeError("%r of case %d is no plain array but %s" % (name, case, array.dtype))
            flat["%d/%s" % (case, name)] = array
    scratch = path + ".tmp"
    with open(scratch, "wb") as file:  # given a name, numpy would add a suffix to it
        numpy.savez(file, **flat)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def in_order(case, names):
    """The arrays of a case for the inputs `names` of a model: by name, or by position where the model has names of
    its own. ValueError where the numbers differ."""
    if set(names) <= set(case):
        return [case[name] for name in names]
    if len(names) != len(case):
        raise ValueError("the model takes %s, the inputs are %s" % (list(names), list(case)))
    return list(case.values())
