"""Try candidate sizes and values until the model runs, with a second size for what is open, and outputs that vary."""

import re
import time

import numpy

from converter.choosing import sizes
from converter.choosing.values import Values, candidates, drawn

MOST_TRIES = 60
# For a model that takes long to refuse. Otherwise time plays no part: the choice is the same on every machine.
SECONDS = 60.0
# Of all inputs together.
MOST_ELEMENTS = 2**24
_SAID = 300

_OUT_OF_TABLE = re.compile(r"inclusive range \[-?\d+,\s*(\d+)\]")


class NoInputsFound(ValueError):
    """The model ran with none of the inputs tried; the message lists what was said to each."""


class Search:
    """The search for one model. `run` takes {input: array} and returns [output array]; `inputs` are those of the file,
    each {"name", "shape", "dtype"}, `stated` those the user states, {name: {"shape", "longer", "range"}}."""

    def __init__(self, inputs, stated, structure, run):
        self._stated = stated
        self._inputs = [
            dict(item, shape=self._shape(item), real="float" in item["dtype"] and structure.rows(item["name"]) is None)
            for item in inputs
        ]
        self._structure = structure
        self._run = run
        self._until = time.time() + SECONDS
        self._values = {item["name"]: self._candidates(item) for item in self._inputs}
        self._groups = sizes.groups(self._inputs, structure.shrinks())
        self.tries = []
        self.constant = []

    def _shape(self, item):
        """Return the shape of an input, with the sizes that the user states in the place of open axes."""
        if item["name"] in self._stated:
            return list(self._stated[item["name"]]["shape"])
        return item["shape"]

    def _candidates(self, item):
        stated = self._stated.get(item["name"])
        if stated is not None and stated.get("range") is not None:
            return [Values(stated["range"][0], stated["range"][1], "stated")]
        return candidates(item, self._inputs, self._structure)

    def chosen(self):
        """Return ({input: shape}, {input: shape of the second size}, {input: Values}, {label: size}); the places of
        outputs that did not vary are in `constant` then.

        Raises NoInputsFound.
        """
        first = self._first()
        shapes = self._shapes(first)
        longer = self._longer(first)
        return shapes, longer, self._varied(shapes), first

    def _first(self):
        """Return the first {label: size} that the model runs with."""
        for assigned in sizes.assignments(self._groups, MOST_TRIES):
            if self._spent():
                break
            if self._tried(self._shapes(assigned), 0) is not None:
                return assigned
        raise NoInputsFound(self._told())

    def _shapes(self, assigned):
        return {item["name"]: sizes.resolved(item, assigned) for item in self._inputs}

    def _spent(self):
        return len(self.tries) >= MOST_TRIES or time.time() > self._until

    def _tried(self, shapes, seed, values=None):
        """Return the outputs, None where the model does not run with these shapes: what it said is kept."""
        if sum(int(numpy.prod(shape)) for shape in shapes.values()) > MOST_ELEMENTS:
            return None
        for _ in range(len(self._inputs) + 1):
            chosen = values or {name: found[0] for name, found in self._values.items()}
            try:
                return self._run(self._feed(shapes, chosen, seed))
            except Exception as problem:
                said = " ".join(str(problem).split())
                # The runtime says how large a table is that we did not see: then an index has to stay within it.
                if not self._bounded(said):
                    self.tries.append((dict(shapes), said))
                    return None
        return None

    def _feed(self, shapes, values, seed):
        return {
            item["name"]: drawn(
                item["dtype"], shapes[item["name"]], values[item["name"]].bounds(shapes), 1000 * seed + number
            )
            for number, item in enumerate(self._inputs)
        }

    def _bounded(self, said):
        found = _OUT_OF_TABLE.search(said)
        if found is None:
            return False
        rows = int(found.group(1)) + 1
        changed = False
        for item in self._inputs:
            values = self._values[item["name"]][0]
            if item["dtype"].startswith(("int", "uint")) and values.high > rows and item["name"] not in self._stated:
                values.low, values.high = min(values.low, rows - 1.0), float(rows)
                changed = True
        return changed

    def _longer(self, first):
        """Return shapes with another size on every open axis, or on as many groups of axes as the model runs with."""
        best = dict(first)
        for group in self._groups:
            now = tuple(best[label] for label in group.labels)
            others = [tuple(2 * size for size in now)] if all(now) else []
            others += [other for other in group.candidates if all(a != b for a, b in zip(other, now))]
            others = others[:4] + [_doubled(now, place) for place in range(len(now)) if len(now) > 1 and now[place]]
            for other in others:
                if time.time() > self._until + SECONDS:
                    break
                trial = dict(best, **dict(zip(group.labels, other)))
                kept = len(self.tries)
                outputs = self._tried(self._shapes(trial), 1)
                # What a second size says is no failure of the first.
                del self.tries[kept:]
                if outputs is not None:
                    best = trial
                    break
        return dict(self._shapes(best), **{name: list(item["longer"]) for name, item in self._stated.items()})

    def _varied(self, shapes):
        """Return the values with which the fewest outputs are constant, the first of equals; all real inputs alike."""
        best, fewest = None, None
        for number in range(max([1] + [len(found) for found in self._values.values()])):
            values = {name: found[min(number, len(found) - 1)] for name, found in self._values.items()}
            kept = len(self.tries)
            draws = [self._tried(shapes, seed, values) for seed in range(2)]
            del self.tries[kept:]
            if any(outputs is None for outputs in draws):
                continue
            constant = [place for place in range(len(draws[0])) if is_constant([outputs[place] for outputs in draws])]
            if fewest is None or len(constant) < len(fewest):
                best, fewest = values, constant
            if not constant or time.time() > self._until + SECONDS:
                break
        if best is None:
            best = {name: found[0] for name, found in self._values.items()}
        self.constant = fewest or []
        return best

    def _told(self):
        """Say what was tried: distinct answers with the first shapes that met each."""
        seen: dict = {}
        for shapes, said in self.tries:
            seen.setdefault(said[:_SAID], (shapes, said))
        lines = ["it ran with none of %d choices of inputs" % len(self.tries)]
        for shapes, said in list(seen.values())[:5]:
            lines.append("%s: %s" % (shown(shapes), said[:_SAID]))
        return "\n".join(lines)


def _doubled(sizes, place):
    return tuple(2 * size if position == place else size for position, size in enumerate(sizes))


def is_constant(draws):
    """Whether an output has the same value everywhere, in all draws, or none at all."""
    arrays = [numpy.asarray(array) for array in draws]
    if any(array.dtype.kind not in "fiub" for array in arrays) or not any(array.size for array in arrays):
        return True
    flat = numpy.concatenate([array.reshape(-1).astype("float64") for array in arrays])
    finite = flat[numpy.isfinite(flat)]
    return not finite.size or float(finite.max() - finite.min()) <= 1e-6 * max(abs(float(finite.max())), 1e-12)


def shown(shapes):
    return ", ".join("%s=%s" % (name, "x".join(map(str, shape)) or "scalar") for name, shape in sorted(shapes.items()))
