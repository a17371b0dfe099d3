"""Predictions for images that have no labels, from a model folder."""
