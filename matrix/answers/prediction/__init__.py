"""Predict cells that were never run: the probability of `match`, and in words what prevents it."""

from matrix.answers.prediction.predictor import Blocker, Eased, Prediction, Predictor

__all__ = ["Blocker", "Eased", "Prediction", "Predictor"]
