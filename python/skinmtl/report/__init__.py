"""From an experiment's folder to its report: Table 1, the comparisons, the figures, one page."""
