"""Public data sets, made into manifests: one small module a data set in `datasets`, everything common done once."""
