"""File systems without bytes: nodes, trees, the tree file format, edits and mounts, and path resolution inside a root."""
