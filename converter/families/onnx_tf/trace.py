"""What a conversion computes inside, in a converter environment: every tensor that converter/stages/expose.py made an
output, for one case.

Inputs: model.onnx (the exposed file), inputs.npz. Params: {"case": k} (absent: the last). Output: traced.npz, that case
alone. Facts: "lacking", the names of the tensors that onnx-tf has no value for, such as an output of a node that its
handler does not make.
The cases before it are run too: some conversions go wrong only on the second call.
The file is not checked: that was the convert job's business, and the outputs added are no part of the model.
"""

import numpy

from converter import graph
from converter.arrays import in_order, read_cases, write_cases
from converter.families.onnx_tf.convert import convert, framework, load  # noqa: F401

# Before Python 3.7 no call has more than 255 arguments, and onnx-tf returns its outputs as a namedtuple.
_AT_ONCE = 200


def run(job, packages, converted):
    model, representation = converted
    cases = read_cases(job.given("inputs.npz"))
    cases = cases[: job.params.get("case", len(cases) - 1) + 1]
    wanted = graph.outputs(model)
    # onnx-tf before 1.2 keeps its tensors one level down, that from 1.7 on makes them when it is called.
    holder = getattr(representation, "predict_net", representation)
    for case in cases:
        fed = in_order(case, graph.inputs(model))
        if getattr(representation, "tf_module", None) is not None:
            values = _from_function(representation, fed, wanted)
        else:
            values = _from_graph(representation, holder, fed, wanted)
    # In the place of a tensor there may be None, or a list, which is a sequence.
    arrays = {
        name: numpy.asarray(values[name])
        for name in wanted
        if values.get(name) is not None and not isinstance(values[name], (list, tuple))
    }
    job.facts["lacking"] = [name for name in wanted if name not in arrays]
    write_cases(job.made("traced.npz"), [arrays])


def _from_graph(representation, holder, fed, wanted):
    """onnx-tf up to 1.6: all tensors are in a dict, and the outputs of a run may be any of them."""
    field = "outputs" if hasattr(holder, "outputs") else "external_output"
    there = [name for name in wanted if hasattr(holder.tensor_dict.get(name), "graph")]
    values: dict = {}
    for start in range(0, len(there), _AT_ONCE):
        some = there[start : start + _AT_ONCE]
        setattr(holder, field, some)
        values.update(zip(some, representation.run(fed)))
    return values


def _from_function(representation, fed, wanted):
    """onnx-tf from 1.7 on: a name that its dict lacks ends the call with a KeyError for it."""
    names = list(wanted)
    while True:
        representation.outputs = representation.tf_module.outputs = list(names)
        try:
            return dict(zip(names, representation.run(fed)))
        except KeyError as lack:
            # Any other name is a node's missing input, or it would have gone with the last attempt.
            if not lack.args or lack.args[0] not in names:
                raise
            names.remove(lack.args[0])


STAGES = (load, convert, run)
