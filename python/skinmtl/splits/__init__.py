"""Folds that do not leak: dealing whole groups evenly, near-duplicates across groups, and what given folds leak."""
