"""The pass converter/stages/tflite.py as it was measured, which also keeps the model: model.tflite."""
from converter.stages.tflite import framework, invoke, tflite

__all__ = ["STAGES", "framework"]


def keep(job, packages, made):
    with open(job.made("model.tflite"), "wb") as file:
        file.write(made[1])
    return made


STAGES = (tflite, keep, invoke)
