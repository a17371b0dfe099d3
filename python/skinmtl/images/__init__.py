"""Image files: their formats, and their pixels as they are meant. This room knows nothing of manifests."""
