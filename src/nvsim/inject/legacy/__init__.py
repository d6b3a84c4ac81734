"""The legacy engine, libnvidia-container: arguments, what it finds, its plan, and the doing of it."""
