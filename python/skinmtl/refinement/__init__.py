"""Fewer, larger classes: labels merged into families, or dropped, by rules that a table holds."""
