"""ldconfig over a tree: links, cache, messages. `run_ldconfig` runs it; how is told in `nvsim.loader.ldconfig.run`."""

from nvsim.loader.ldconfig.run import LdconfigRun, run_ldconfig

__all__ = ["LdconfigRun", "run_ldconfig"]
