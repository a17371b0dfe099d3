"""What every room needs: errors, whole-or-nothing outputs, worker processes, provenance."""
