"""Scores of predictions, their intervals, and calibration of probabilities."""

from emotion.metrics.scores import reliability_curve, score, score_parts, score_with_leak_free

__all__ = ["reliability_curve", "score", "score_parts", "score_with_leak_free"]
