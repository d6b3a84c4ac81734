"""``nvsim completion``: the script that makes a shell complete nvsim's commands, options, hosts and images."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

_SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command(name="completion")
@click.argument("shell", type=click.Choice(sorted(_SHELLS)))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(nvsim completion bash)"        in ~/.bashrc
    zsh:   eval "$(nvsim completion zsh)"         in ~/.zshrc
    fish:  nvsim completion fish > ~/.config/fish/completions/nvsim.fish
    """
    root = click.get_current_context().find_root().command
    kind = _SHELLS[shell]
    maker = kind(root, {}, "nvsim", "_NVSIM_COMPLETE")
    click.echo(kind.source_template % maker.source_vars(), nl=False)
