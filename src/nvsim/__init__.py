"""nvsim: predict what the NVIDIA Container Toolkit puts into a container, and what exec and dlopen then do there."""
