"""Run a model with onnx's reference evaluator."""

from converter import graph
from converter.arrays import in_order, read_cases, write_cases


def run(job, onnx, model, made):
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    names = graph.inputs(model)
    outputs = []
    for case in read_cases(job.given("inputs.npz")):
        values = evaluator.run(None, dict(zip(names, in_order(case, names))))
        outputs.append(dict(zip(graph.outputs(model), values)))
    write_cases(job.made(made), outputs)
