"""The ``nvsim`` commands. No logic: parse, call, print."""
