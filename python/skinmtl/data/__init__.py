"""From a manifest and its images to folds and LMDBs."""
