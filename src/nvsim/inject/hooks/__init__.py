"""What nvidia-cdi-hook does to a container root, one module a hook."""
