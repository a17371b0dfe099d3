"""From a snapshot to features, and from features to the nearest training images."""
