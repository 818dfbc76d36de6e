"""Run an ONNX model with ONNX Runtime on the CPU, in the reference environment. Outputs: what the model means
(reference.npz), computed twice (again.npz), because a model that is not deterministic cannot be judged.

Inputs: model.onnx, inputs.npz. Params: {"threads": n} (absent: as the variable OMP_NUM_THREADS says, which ONNX Runtime
itself ignores; without that, one for each core).
"""

import os
from types import SimpleNamespace

from converter import graph
from converter.arrays import in_order, read_cases, write_cases
from converter.finite import check_finite


def framework():
    import onnx
    import onnxruntime

    return SimpleNamespace(onnx=onnx, onnxruntime=onnxruntime)


def load(job, packages, _):
    facts = graph.describe(packages.onnx.load(job.given("model.onnx")))
    job.facts.update(
        opset=facts["opset_written"],
        ir_version=facts["ir_version"],
        runtime_version=packages.onnxruntime.__version__,
        graph_inputs=facts["graph_inputs"],
        graph_outputs=facts["graph_outputs"],
    )
    options = packages.onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(job.params.get("threads") or os.environ.get("OMP_NUM_THREADS") or 0)
    return packages.onnxruntime.InferenceSession(
        job.given("model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
    )


def run(job, packages, session):
    names = job.facts["graph_outputs"]
    cases = read_cases(job.given("inputs.npz"))
    for output in ("reference.npz", "again.npz"):
        values = []
        for case in cases:
            given = job.facts["graph_inputs"]
            feed = dict(zip(given, in_order(case, given)))
            values.append(dict(zip(names, session.run(names, feed))))
        check_finite(values)
        write_cases(job.made(output), values)


STAGES = (load, run)
