"""converter/stages/tflite.py, pass by pass as it was measured, with the model itself kept: model.tflite."""
from converter.stages.tflite import framework, invoke, tflite

__all__ = ["STAGES", "framework"]


def keep(job, packages, made):
    with open(job.made("model.tflite"), "wb") as file:
        file.write(made[1])
    return made


STAGES = (tflite, keep, invoke)
