"""Read and write a job's arrays: .npz files with keys "<case>/<tensor name>", cases numbered 0, 1, 2, ..."""

import os

import numpy


def read_cases(path):
    """Return the cases of an .npz file in order, each a dict {tensor name: array}.

    Raises ValueError if there are none, and for object arrays: loading those would run code.
    """
    cases: dict = {}
    with numpy.load(path, allow_pickle=False) as file:
        for key in file.files:
            case, name = key.split("/", 1)
            cases.setdefault(int(case), {})[name] = file[key]
    if not cases:
        raise ValueError("%s holds no case" % path)
    return [cases[case] for case in sorted(cases)]


def write_cases(path, cases):
    """Write a list of dicts {tensor name: array} atomically. Raises TypeError for object arrays."""
    flat: dict = {}
    for case, tensors in enumerate(cases):
        for name, array in tensors.items():
            array = numpy.asarray(array)
            if array.dtype.hasobject:
                raise TypeError("%r of case %d is no plain array but %s" % (name, case, array.dtype))
            flat["%d/%s" % (case, name)] = array
    scratch = path + ".tmp"
    with open(scratch, "wb") as file:  # given a path, numpy would append a suffix
        numpy.savez(file, **flat)
    os.replace(scratch, path)


def in_order(case, names):
    """Return a case's arrays for a model's inputs `names`: by name, or by position if the names differ.

    Raises ValueError if their numbers differ.
    """
    if set(names) <= set(case):
        return [case[name] for name in names]
    if len(names) != len(case):
        raise ValueError("the model takes %s, the inputs are %s" % (list(names), list(case)))
    return list(case.values())
