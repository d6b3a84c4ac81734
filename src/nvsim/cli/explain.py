"""``nvsim explain``: the catalogue of findings and the topics behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nvsim.cli.output import Output, output_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Codes, with their titles, and names of topics; names of findings once a letter of one is there."""
    from click.shell_completion import CompletionItem

    from nvsim.diagnosis.catalogue import CATALOGUE
    from nvsim.diagnosis.topics import TOPICS

    entries = CATALOGUE.values()
    known = [(e.code, e.title) for e in entries] + [(t.name, t.title) for t in TOPICS]
    known += [(e.slug, e.title) for e in entries if incomplete]
    begun = incomplete.lower()
    return [CompletionItem(word, help=title) for word, title in known if word.lower().startswith(begun)]


@click.command(name="explain")
@output_options()
@click.argument("code", required=False, metavar="[CODE|TOPIC]", shell_complete=_complete)
def command(output: Output, code: str | None) -> None:
    """What a finding's code (NVS401, not-searched) means, or a topic. Without an argument: all of them."""
    from nvsim.diagnosis.catalogue import CATALOGUE
    from nvsim.diagnosis.topics import TOPICS, look_up
    from nvsim.report.explain import entry_text, list_text, topic_text

    if code is None:
        if output.form == "json":
            entries = [
                {"code": e.code, "severity": e.severity, "slug": e.slug, "title": e.title} for e in CATALOGUE.values()
            ]
            output.json({"findings": entries, "topics": [{"name": t.name, "title": t.title} for t in TOPICS]})
        else:
            output.text(list_text(output.style))
        return
    entry, topic = look_up(code)
    if entry is not None:
        fields = ("code", "explanation", "severity", "slug", "title")
        if output.form == "json":
            output.json({name: getattr(entry, name) for name in fields})
        else:
            output.text(entry_text(entry, output.style))
    elif topic is not None:
        if output.form == "json":
            output.json({"name": topic.name, "text": list(topic.paragraphs), "title": topic.title})
        else:
            output.text(topic_text(topic, output.style))
