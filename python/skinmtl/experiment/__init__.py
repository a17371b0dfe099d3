"""From a manifest to a report: the workflow's configuration, its run as a child, and what is told of it."""
