"""The glibc dynamic loader over a tree: `session` is the process, the other modules are its steps and tables."""
