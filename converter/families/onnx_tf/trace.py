"""Compute the intermediate tensors of a conversion for one case, in a converter environment: every tensor that
converter/stages/expose.py made an output.

Inputs: model.onnx (the exposed file), inputs.npz. Params: {"case": k} (absent: the last). Output: traced.npz, that case
only. Facts: "lacking", the tensors for which onnx-tf has no value, such as a node output that its handler omits.
Earlier cases are run too: some conversions go wrong only on the second call.
The model is not checked: the convert job did that, and the added outputs are not part of it.
"""

import numpy

from converter import graph
from converter.arrays import in_order, read_cases, write_cases
from converter.families.onnx_tf.convert import convert, framework, load

__all__ = ["STAGES", "framework"]

# onnx-tf returns outputs as a namedtuple, and before Python 3.7 a call has at most 255 arguments.
_AT_ONCE = 200


def run(job, packages, converted):
    model, representation = converted
    cases = read_cases(job.given("inputs.npz"))
    cases = cases[: job.params.get("case", len(cases) - 1) + 1]
    wanted = graph.outputs(model)
    # onnx-tf before 1.2 nests its tensors one level deeper; from 1.7 on they are made when it is called.
    holder = getattr(representation, "predict_net", representation)
    for case in cases:
        fed = in_order(case, graph.inputs(model))
        if getattr(representation, "tf_module", None) is not None:
            values = _from_function(representation, fed, wanted)
        else:
            values = _from_graph(representation, holder, fed, wanted)
    # A value may also be None, or a list for a sequence.
    arrays = {
        name: numpy.asarray(values[name])
        for name in wanted
        if values.get(name) is not None and not isinstance(values[name], (list, tuple))
    }
    job.facts["lacking"] = [name for name in wanted if name not in arrays]
    write_cases(job.made("traced.npz"), [arrays])


def _from_graph(representation, holder, fed, wanted):
    """Run onnx-tf up to 1.6, which keeps all tensors in a dict and can return any of them."""
    field = "outputs" if hasattr(holder, "outputs") else "external_output"
    there = [name for name in wanted if hasattr(holder.tensor_dict.get(name), "graph")]
    values: dict = {}
    for start in range(0, len(there), _AT_ONCE):
        some = there[start : start + _AT_ONCE]
        setattr(holder, field, some)
        values.update(zip(some, representation.run(fed)))
    return values


def _from_function(representation, fed, wanted):
    """Run onnx-tf from 1.7 on, dropping each name for which it raises KeyError."""
    names = list(wanted)
    while True:
        representation.outputs = representation.tf_module.outputs = list(names)
        try:
            return dict(zip(names, representation.run(fed)))
        except KeyError as lack:
            # Any other name is a node's missing input, which dropping outputs cannot help.
            if not lack.args or lack.args[0] not in names:
                raise
            names.remove(lack.args[0])


STAGES = (load, convert, run)
