"""Benchmarks of nvsim against programs that do part of its work, all measured in one run on one machine."""
