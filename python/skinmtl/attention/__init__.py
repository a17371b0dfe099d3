"""Attention: where in an image a net finds the evidence for a label (class activation maps)."""
