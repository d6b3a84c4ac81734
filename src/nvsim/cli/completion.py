"""``nvsim completion``: the script that makes a shell complete nvsim's commands, options, hosts and images.

click's own scripts serve zsh and fish. bash takes words apart at ``:`` and ``=`` (COMP_WORDBREAKS), so its script hands over the line itself.
"""

from __future__ import annotations

import os
import re

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

_BASH = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env NVSIM_COMP_LINE="${COMP_LINE:0:COMP_POINT}" NVSIM_COMP_BREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;  # file names, where nothing else fits
            plain) COMPREPLY+=("$value") ;;
        esac
    done
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(BashComplete):
    """The line up to the cursor is taken into words here; an answer is only what stands behind the last place where bash breaks words."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("NVSIM_COMP_LINE")
        if line is None:
            return super().get_completion_args()
        words = split_arg_string(line)
        last = "" if line[-1:].isspace() or not words else words.pop()
        while words and re.match(r"\w+=", words[0]):  # variables before the command
            words.pop(0)
        return words[1:], last

    def format_completion(self, item: CompletionItem) -> str:
        breaks = "".join(c for c in os.environ.get("NVSIM_COMP_BREAKS", "") if c in ":=")
        last = self.get_completion_args()[1]
        before = re.match(f".*[{breaks}]", last) if breaks else None
        value = str(item.value)
        return f"{item.type},{value.removeprefix(before[0]) if before is not None else value}"


_SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": ZshComplete, "fish": FishComplete}


def serve_bash() -> None:
    """Let click answer the script's questions by `_Bash`."""
    add_completion_class(_Bash, "bash")


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
