"""The kinds of `nvsim batch` queries: JSON in, JSON out, one module a subject. No logic of their own: parse, call, render."""
