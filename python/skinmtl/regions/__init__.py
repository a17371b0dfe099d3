"""Boxes, anchors, proposals, pooled regions and losses of Song et al. (2020) in numpy: what the layers compute."""
