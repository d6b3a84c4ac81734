"""The musl dynamic loader over a tree (``ldso/dynlink.c``): `session` is its door."""
