"""Runs Caffe's prototxts, caffemodels and solverstates with PyTorch. Knows nothing of what the nets are for."""
