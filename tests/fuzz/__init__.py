"""A differential fuzzer: random root file systems under real loaders against what nvsim predicts (see ``docs/fuzzing.md``).

Run it with ``python -m tests.fuzz``. `scenario` writes a root, `jail` runs it, `predict` asks nvsim, `generate` makes scenarios up,
`shrink` makes a difference small, `histogram` counts what occurred, `mutants` breaks rules on purpose, `corpus` looks at whole roots
and `mangle` at broken files.
"""
