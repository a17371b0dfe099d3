"""Runs Caffe's prototxts, caffemodels and solverstates with PyTorch. Knows nothing of what the nets are for."""

PRECISIONS = ("fp32", "tf32", "bf16")
