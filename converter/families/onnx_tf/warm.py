"""Do work once in the parent that every forked child would repeat. From onnx-tf 1.7 on, a conversion makes TensorFlow
rewrite onnx-tf's own functions (AutoGraph), which takes seconds while the rest takes a tenth of one. TensorFlow caches
the rewritten functions, and forked children inherit the cache.

Calling the rewritten functions in a separate graph fills the cache without other effects; operators whose handlers keep
state of the last model are left out. This must not start TensorFlow's threads: a child does not inherit them and would
wait for them forever."""

import os

import numpy

from converter import graph
from converter.backend.alone import each_alone
from converter.backend.cases import data_sets

# onnx-tf keeps one recurrent cell for all models of a process; the other three contain whole graphs.
_LEFT_OUT = {"LSTM", "GRU", "RNN", "If", "Loop", "Scan"}
_WORTH = 3


class ThreadsStarted(Exception):
    """TensorFlow's threads were started: every later case would hang."""


class Warmth:
    """Trace operators ahead that at least `_WORTH` cases use.

    cases -- all that will be run; seconds, megabytes -- the limits of one case."""

    def __init__(self, cases, packages, seconds, megabytes):
        self._packages = packages
        self._seconds = seconds
        self._megabytes = megabytes
        self._operators = {case: self._read(case) for case in cases}
        count: dict = {}
        for operators in self._operators.values():
            for operator in operators:
                count[operator] = count.get(operator, 0) + 1
        self._cold = {operator for operator in count if count[operator] >= _WORTH} - _LEFT_OUT
        try:
            import onnx_tf.backend_tf_module  # noqa: F401
        except ImportError:
            self._cold = set()  # nothing is rewritten before 1.7

    def add(self, case):
        """Trace a case that succeeded in a child, if it has new operators."""
        operators = self._operators[case]
        if operators & self._cold and not operators & _LEFT_OUT:
            self._cold -= operators
            # Try it in a child first: tracing some operators starts the threads (in TensorFlow 2.15, Gather).
            rehearsal = (case, lambda: self._rehearse(case), os.devnull)
            ((_, end),) = each_alone([rehearsal], self._seconds, self._megabytes)
            if end.code == 0:
                self._trace(case)
            else:
                print("%s is not traced ahead: %r" % (case.name, end))

    def _rehearse(self, case):
        self._trace(case)
        if self._packages.started():
            raise ThreadsStarted

    def _read(self, case):
        try:
            model = self._packages.onnx.load(os.path.join(case.folder, "model.onnx"))
        except Exception as problem:
            print("%s could not be read ahead: %r" % (case.name, problem))
            return set()
        return {graph.kind(node) for node in graph.nodes(model)}

    def _trace(self, case):
        tensorflow = self._packages.tensorflow
        model = self._packages.onnx.load(os.path.join(case.folder, "model.onnx"))
        inputs = data_sets(self._packages.onnx, case, model)[0][0]
        if all(isinstance(value, numpy.ndarray) for value in inputs):
            with tensorflow.Graph().as_default():
                representation = self._packages.backend.prepare(model, device="CPU")
                fed = {name: tensorflow.constant(value) for name, value in zip(representation.inputs, inputs)}
                # Not get_concrete_function(): in TensorFlow 2.15, unlike 2.8, it registers the function, which starts
                # the threads.
                call = vars(type(representation.tf_module))["__call__"].python_function
                tensorflow.autograph.to_graph(call)(representation.tf_module, **fed)
