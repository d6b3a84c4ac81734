"""Container images: reading them from directories, tree files and shipped examples into an `Image`."""
