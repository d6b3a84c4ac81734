"""The order in which objects are relocated and initialised, from a breadth-first list (``elf/dl-sort-maps.c``; before 2.33 in
``elf/dl-deps.c`` and ``dl-fini.c``).

Relocation goes through it backwards, so that dependencies come first.
"""

from __future__ import annotations

from nvsim.loader.glibc.state import Object


def relocation_order(root: Object, search_list: list[Object], algorithm: str) -> list[Object]:
    """`search_list` with `root` first and the rest sorted: what others need comes after them."""
    out = [root, *(o for o in search_list if o is not root)]
    return _depth_first(out) if algorithm == "dfs" else [out[0], *_original(out[1:])]


def _original(objects: list[Object]) -> list[Object]:
    """The algorithm up to 2.34: move an object behind the last one that needs it, until nothing moves."""
    maps = list(objects)
    count = len(maps)
    if count <= 1:
        return maps
    seen = [0] * count
    i = 0
    while True:
        seen[i] += 1
        this = maps[i]
        k = count - 1
        while k > i and not any(d is this for d in maps[k].dependencies or ()):
            k -= 1
        if k > i:
            maps[i : k + 1] = [*maps[i + 1 : k + 1], this]
            if seen[i + 1] <= count - i:
                seen[i : k + 1] = [*seen[i + 1 : k + 1], seen[i]]
                continue
            i += 1
        else:
            i += 1
            if i == count:
                return maps
        seen[i:] = [0] * (count - i)


def _depth_first(objects: list[Object]) -> list[Object]:
    """The algorithm since 2.35: reverse post-order of depth-first walks, begun at the end of the list; none enters the main program."""
    out: list[Object] = []
    visited: set[Object] = set()
    inside = set(objects)
    for start in reversed(objects):
        stack = [(start, iter(start.dependencies or ()))] if start not in visited else []
        visited.add(start)
        while stack:
            obj, rest = stack[-1]
            for step in rest:
                if step not in visited and step.path and not step.faked:
                    visited.add(step)
                    stack.append((step, iter(step.dependencies or ())))
                    break
            else:
                stack.pop()
                if obj in inside:
                    out.append(obj)
    out.reverse()
    return out
