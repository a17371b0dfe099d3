"""Figures: numbers in, PNG and SVG out."""
