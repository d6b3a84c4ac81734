"""``nvsim explain``: the catalogue of findings and the topics behind them."""

from __future__ import annotations

import click

from nvsim.cli.output import Output, output_options


@click.command(name="explain")
@output_options()
@click.argument("code", required=False, metavar="[CODE|TOPIC]")
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
