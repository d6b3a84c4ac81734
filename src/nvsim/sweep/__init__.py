"""Many scenarios at once: a matrix of hosts, images, settings and commands with expectations, run on all cores or on a Dask cluster."""
