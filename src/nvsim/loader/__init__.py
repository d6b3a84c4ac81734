"""The kernel's execve, the dynamic loaders (glibc, musl) and ldconfig, over a tree. Knows nothing about NVIDIA."""
