"""What nvidia-container-runtime and its hook decide from configuration, environment and the OCI spec, before any driver file is looked at."""
