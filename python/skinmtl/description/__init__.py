"""A look at a data set before training on it: labels, groups, files, and a contact sheet a label."""
