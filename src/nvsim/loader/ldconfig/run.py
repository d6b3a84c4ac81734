"""ldconfig over a tree: the links that it makes and removes, the cache that it writes, and what it says (glibc ``elf/ldconfig.c``).

This is the way through a run. Its parts: the command line (`options`), the differences between releases and builds
(`rules`), directories and what is in them (`scan`, `conf`), one file (`files`), links
(`links`), the cache (`save`; bytes and order `nvsim.ldcache`). The auxiliary cache in /var is not modelled.
"""

from __future__ import annotations

from nvsim.elf.facts import LdconfigFacts
from nvsim.frozen import frozen
from nvsim.ldcache import LdCache
from nvsim.loader.argp import Ended
from nvsim.loader.ldconfig.conf import ConfLine
from nvsim.loader.ldconfig.job import FatalError, Job, RootView
from nvsim.loader.ldconfig.links import manual_link
from nvsim.loader.ldconfig.options import Options, parse_options
from nvsim.loader.ldconfig.save import cache_of, print_cache, save_cache
from nvsim.loader.ldconfig.scan import collect, scan_all
from nvsim.rootfs.node import Directory, Origin
from nvsim.rootfs.overlay import RootFS
from nvsim.rootfs.resolve import Resolved, Resolver
from nvsim.rootfs.tree import Tree


@frozen
class LdconfigRun:
    """What a run did.

    `cache`: as written (None: none was). `links`: (canonical path, target) made or changed; `removed`: stale links; both sorted.
    `stdout` and `stderr` as printed, in English; `rc` the exit status. `rootfs`: the root afterwards. `sources`: canonical directory ->
    who named it, in scan order.
    """

    cache: LdCache | None
    links: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]
    stderr: str
    rc: int
    rootfs: RootFS
    sources: tuple[tuple[str, str], ...] = ()
    stdout: str = ""


def run_ldconfig(
    tree: Tree,
    facts: LdconfigFacts,
    argv: tuple[str, ...] = (),
    *,
    origin: Origin | None = None,
    program: str = "ldconfig",
    readonly: bool = False,
    powerless: bool = False,
) -> LdconfigRun:
    """Run ldconfig as root in `tree` (its root is "/"). `argv` are the arguments after the program's name.

    `origin` is given to what it creates, `program` begins its messages. What lies on a read-only mount cannot be changed; `readonly`
    says it of the whole root. `powerless`: root has no CAP_DAC_OVERRIDE there, so a directory without write permission is refused.
    """
    base = tree if isinstance(tree, RootFS) else RootFS(tree)
    options = parse_options(argv, program, facts)
    if isinstance(options, Ended):
        return LdconfigRun(None, (), (), options.stderr, options.status, base, stdout=options.stdout)
    editor = base.edit()
    top = Resolver(base).resolve(options.root) if options.root.strip("/") else None
    if top is not None and not (isinstance(top, Resolved) and isinstance(top.node, Directory)):
        return _no_root(base, facts, options, program)
    root = RootView(editor, top.path if isinstance(top, Resolved) else "/", readonly, powerless)
    job = Job(root, facts, options, origin or Origin("hook", "ldconfig"), program)
    sources: tuple[tuple[str, str], ...] = ()
    cache: LdCache | None = None
    rc = 0
    try:
        if "p" in options.flags:
            print_cache(job, options.cache or facts.cache)
        elif "l" in options.flags:
            for library in options.args:
                manual_link(job, library)
        else:
            sources, cache = _build(job)
    except FatalError as stop:
        rc = stop.rc
    return LdconfigRun(
        cache,
        tuple(sorted(dict(job.links).items())),
        tuple(sorted(job.removed)),
        "".join(job.stderr),
        rc,
        editor.freeze(),
        sources,
        "".join(job.stdout),
    )


def _build(job: Job) -> tuple[tuple[tuple[str, str], ...], LdCache | None]:
    """Scan, link, save: who named each directory, and the cache."""
    options = job.options
    named = []
    for path in options.args:
        if options.build and not path.startswith("/"):
            raise job.die(f"relative path `{path}' used to build cache")
        if path.rstrip("/"):
            named.append(ConfLine(path.rstrip("/"), "<cmdline>", 0))
    conf = None if "n" in options.flags else options.conf or job.facts.conf
    scans = collect(job, tuple(named), conf)
    scan_all(job, scans)
    sources = tuple((job.root.outside(s.canonical), _source(job, s.file, s.line)) for s in scans.list)
    if not options.build:
        return sources, None
    cache = cache_of(job)
    save_cache(job, cache, options.cache or job.facts.cache)
    return sources, cache


def _source(job: Job, file: str, line: int) -> str:
    if file == "<builtin>":
        return f"built into ldconfig {job.facts.version}"
    return "command line" if file == "<cmdline>" else f"{file}:{line}"


def _no_root(base: RootFS, facts: LdconfigFacts, options: Options, program: str) -> LdconfigRun:
    """``-r`` to a directory that is not there: chroot fails, and then nothing below it can be found."""
    name = options.cache or facts.cache
    what = (
        f"Can't open cache file {name}"
        if "p" in options.flags
        else f"Can't open cache file directory {name.rpartition('/')[0]}"
    )
    return LdconfigRun(None, (), (), f"{program}: {what}\n: No such file or directory\n", 1, base)
