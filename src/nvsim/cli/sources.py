"""Where a command's hosts and images come from: the argument IMAGE, completion of their names, and the facts that are kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nvsim.scenario.sources import Sources

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from nvsim.elf.store import FactsStore


def open_sources(no_cache: bool = False) -> Sources:
    """The sources of this call, with the facts that are kept on disk; what is new there is written when the command ends."""
    context = click.get_current_context()

    def opened() -> FactsStore:
        from nvsim.elf.store import FactsStore, cache_folder

        return context.with_resource(FactsStore(None if no_cache else cache_folder(os.environ)))

    return Sources(open_store=opened)


def complete_host(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of shipped host profiles."""
    from click.shell_completion import CompletionItem

    from nvsim.host.datadir import data_dir
    from nvsim.host.read import list_hosts

    return [CompletionItem(n) for n in list_hosts(data_dir()) if n.startswith(incomplete)]


def complete_image(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of example images, and files."""
    from click.shell_completion import CompletionItem

    from nvsim.host.datadir import data_dir
    from nvsim.image.example import list_examples

    names = [f"example:{n}" for n in list_examples(data_dir())]
    return [CompletionItem(n) for n in names if n.startswith(incomplete)] + [CompletionItem(incomplete, type="file")]


def image_argument(name: str = "image", **more: Any) -> Callable[[Any], Any]:
    """The argument IMAGE."""
    return click.argument(name, metavar="IMAGE", shell_complete=complete_image, **more)
