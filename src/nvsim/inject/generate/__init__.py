"""CDI specs made for a host, as ``nvidia-ctk cdi generate`` and the runtime's jit-cdi and csv modes make them."""
