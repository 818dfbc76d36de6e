"""What a cell will come to that was never run: a probability of `match` and what stands in the way, in words."""

from matrix.answers.prediction.predictor import Blocker, Prediction, Predictor

__all__ = ["Blocker", "Prediction", "Predictor"]
