"""One module a data set; each has an IMPORTER, and a new file here is a new importer."""
