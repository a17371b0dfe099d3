"""Weights to start from: fetched, checked, and converted from PyTorch's form."""
