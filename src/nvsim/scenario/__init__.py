"""A scenario as a value: settings as `docker run` takes them, their readers, and what engines say about a failure."""
