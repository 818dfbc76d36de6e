"""Compare the numbers of a conversion, in an environment that has numpy.

    numbers.py gather FILE.npz OUT.npz                      keys `name` or `case/name` become `case/name`
    numbers.py compare RULE.json RESULT.json EXPECTED.npz ACTUAL.npz...

An element passes where |actual - expected| <= atol + rtol * |expected|; RULE.json has {"rtol", "atol"} for each kind of
number. RESULT.json: for each ACTUAL {"wrong": null or a sentence, "elements", "max_abs", "used"}, `used` being the
largest share of the tolerance that any element takes.
"""
import json
import sys

import numpy


def kind(array):
    """Return the kind of number, as the rule names it. Raises ValueError for anything else."""
    if array.dtype.kind in "iu":
        return "integer"
    if array.dtype.kind == "b":
        return "boolean"
    if array.dtype.str[1:] == "V2":  # how numpy stores what it has no type for
        return "bfloat16"
    name = {"complex64": "float32", "complex128": "float64"}.get(array.dtype.name, array.dtype.name)
    if name not in ("float16", "float32", "float64"):
        raise ValueError("%s cannot be compared: it is not a number" % array.dtype)
    return name


def wide(array):
    if array.dtype.str[1:] == "V2":
        # bfloat16 is the upper half of a float32.
        array = (numpy.ascontiguousarray(array).view("<u2").astype("<u4") << 16).view("<f4")
    return array.astype("complex128" if array.dtype.kind == "c" else "float64").ravel()


def distance(expected, actual):
    if expected.dtype.kind in "iu":
        # float64 cannot hold every integer of 64 bits.
        larger, smaller = numpy.maximum(expected, actual).ravel(), numpy.minimum(expected, actual).ravel()
        return (larger.astype("uint64") - smaller.astype("uint64")).astype("float64")
    return numpy.abs(wide(expected) - wide(actual))


def compare_arrays(key, expected, actual, rule):
    """Return (sentence or None, largest distance, largest share of the tolerance) of one output."""
    if expected.shape != actual.shape:
        return "%s has the shape %s, not %s" % (key, list(actual.shape), list(expected.shape)), 0.0, 0.0
    if expected.dtype != actual.dtype:
        return "%s holds %s, not %s" % (key, actual.dtype, expected.dtype), 0.0, 0.0
    tolerance = rule[kind(expected)]
    left, right = wide(expected), wide(actual)
    finite = numpy.isfinite(left) & numpy.isfinite(right)
    same = (numpy.isnan(left) & numpy.isnan(right)) | (left == right)
    if not numpy.all(finite | same):
        return "%s: NaN or infinity in other places" % key, 0.0, 0.0
    if not numpy.any(finite):
        return None, 0.0, 0.0
    apart = distance(expected, actual)[finite]
    bound = (tolerance["atol"] + tolerance["rtol"] * numpy.abs(left))[finite]
    used = float(numpy.max(numpy.where(bound > 0, apart / numpy.where(bound > 0, bound, 1), apart)))
    wrong = None
    if not numpy.all(apart <= bound):
        far = int(numpy.sum(apart > bound))
        wrong = "%s: %d of %d numbers lie outside the tolerance, by up to %.3g" % (key, far, left.size, apart.max())
    return wrong, float(apart.max()), used


def compare(expected, actual, rule):
    """Return the entry of RESULT.json for one file. Frameworks do not agree on names: then position counts, within each
    case."""
    result = {"wrong": None, "elements": 0, "max_abs": 0.0, "used": 0.0}
    if not expected or sorted(map(case_of, expected)) != sorted(map(case_of, actual)):
        result["wrong"] = "%d outputs, not %d" % (len(actual), len(expected))
        return result
    if set(expected) != set(actual):
        actual = dict(zip(sorted(expected, key=case_of), (actual[key] for key in sorted(actual, key=case_of))))
    for key in expected:
        wrong, apart, used = compare_arrays(key, expected[key], actual[key], rule)
        result["wrong"] = result["wrong"] or wrong
        result["elements"] += int(expected[key].size)
        result["max_abs"] = max(result["max_abs"], apart)
        result["used"] = max(result["used"], used)
    return result


def case_of(key):
    return key.partition("/")[0]


def read(path):
    """Return {key: array} in the order of the file."""
    with numpy.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def gather(path, target):
    arrays = read(path)
    cased = all(key.partition("/")[0].isdigit() and "/" in key for key in arrays)
    numpy.savez(target, **{key if cased else "0/" + key: array for key, array in arrays.items()})


def main():
    work, first, second = sys.argv[1:4]
    if work == "gather":
        gather(first, second)
        return
    with open(first) as file:
        rule = json.load(file)
    expected = read(sys.argv[4])
    results = [compare(expected, read(path), rule) for path in sys.argv[5:]]
    with open(second, "w") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main()
