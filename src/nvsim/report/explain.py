"""The catalogue and the topics as text."""

from __future__ import annotations

from nvsim.diagnosis.catalogue import CATALOGUE, Entry
from nvsim.diagnosis.topics import TOPICS, Topic
from nvsim.report.style import PLAIN, Style, columns, wrapped

_HUNDREDS = {
    "1": "the request",
    "2": "finding and injecting the driver",
    "3": "executing the program",
    "4": "the library search",
    "5": "versions and symbols",
    "6": "devices and the kernel driver",
    "9": "the prediction itself",
}


def entry_text(entry: Entry, style: Style = PLAIN) -> str:
    """One kind of finding."""
    lines = [f"{style.paint(entry.code, 'bold')} {entry.slug} ({entry.severity})", entry.title, ""]
    lines += wrapped(entry.explanation, "")
    topics = [t.name for t in TOPICS if entry.code in t.findings]
    if topics:
        lines += ["", f"See also: nvsim explain {topics[0]}"]
    return "\n".join(lines) + "\n"


def topic_text(topic: Topic, style: Style = PLAIN) -> str:
    """One topic."""
    lines = [f"{style.paint(topic.name, 'bold')}: {topic.title}"]
    for paragraph in topic.paragraphs:
        lines += ["", *wrapped(paragraph, "")]
    if topic.findings:
        lines += ["", "Findings:"]
        lines += columns((f"  {code}", CATALOGUE[code].slug, CATALOGUE[code].title) for code in topic.findings)
    return "\n".join(lines) + "\n"


def list_text(style: Style = PLAIN) -> str:
    """Everything that can be explained."""
    lines = [style.paint("Topics", "bold")]
    lines += columns((f"  {t.name}", t.title) for t in TOPICS)
    rows = [[f"  {e.code}", e.slug, e.title] for e in CATALOGUE.values()]
    table = columns(rows)
    group = ""
    for entry, line in zip(CATALOGUE.values(), table, strict=True):
        if entry.code[3] != group:
            group = entry.code[3]
            lines += ["", style.paint(f"{entry.code[:4]}xx: {_HUNDREDS[group]}", "bold")]
        lines.append(line)
    return "\n".join(lines) + "\n"
