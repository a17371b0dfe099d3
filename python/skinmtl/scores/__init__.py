"""From a snapshot to scores, and from scores to metrics."""
