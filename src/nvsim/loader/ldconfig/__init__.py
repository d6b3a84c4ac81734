"""ldconfig over a tree: links, cache, messages. `nvsim.loader.ldconfig.run` runs it; nothing is imported here, so that its parts are cheap."""
