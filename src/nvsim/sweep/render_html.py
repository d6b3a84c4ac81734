"""A sweep's results as one HTML page without scripts or outside files: summary, what is not as expected, matrix with reasons."""

from __future__ import annotations

from nvsim.errors import InputError
from nvsim.sweep.render_text import MARKS, cell_text, label
from nvsim.sweep.summary import Summary

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>nvsim sweep: {{ s.name }}</title>
<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse}
th,td{border:1px solid #c8ccd1;padding:.3rem .6rem;text-align:left;vertical-align:top}
thead th{position:sticky;top:0;background:#f3f4f6}
.ok{background:#e3f4e6}.fails{background:#fbe3e1}.unknown{background:#fdf3d3}.error{background:#e9e2f7}
.unmet{outline:3px solid #b3261e;outline-offset:-3px}
details summary{cursor:pointer}small{color:#555}pre{white-space:pre-wrap;max-width:40rem}
@media (prefers-color-scheme:dark){body{background:#16181c;color:#e6e6e6}thead th{background:#24272d}
.ok{background:#1d3a24}.fails{background:#4a211f}.unknown{background:#46390f}.error{background:#352a52}small{color:#aaa}}
</style></head><body>
<h1>{{ s.name }}</h1>
<p><strong>{{ s.results|length }} scenarios, {% if s.unmet %}{{ s.unmet|length }} not as expected{% else %}all as expected{% endif %}</strong>
({% for verdict, mark in marks.items() if s.count(verdict) %}{{ s.count(verdict) }} {{ mark }}{{ ", " if not loop.last }}{% endfor %})</p>
{% if s.unmet %}<h2>Not as expected</h2><ul>{% for r in s.unmet %}<li>{{ label(r) }}: {{ r.why }}</li>{% endfor %}</ul>{% endif %}
<h2>Matrix</h2>
<table><thead><tr><th>image</th><th>setting</th><th>command</th>{% for h in s.hosts %}<th>{{ h }}</th>{% endfor %}</tr></thead><tbody>
{% for row in s.rows %}<tr><th>{{ row.image }}</th><td>{{ row.setting }}</td><td>{{ row.command or "the image's own" }}</td>
{% for r in row.results %}{% if r is none %}<td></td>{% else %}<td class="{{ r.verdict }}{{ '' if r.met else ' unmet' }}">
<details><summary>{{ cell_text(r) }}</summary><small>{{ r.reason }}</small>{% if r.message %}<pre>{{ r.message }}</pre>{% endif %}</details></td>{% endif %}{% endfor %}</tr>
{% endfor %}</tbody></table></body></html>
"""


def html(summary: Summary) -> str:
    """The page. Raises `InputError` when Jinja2 is not installed."""
    try:
        from jinja2 import Environment
    except ImportError:
        raise InputError("an HTML page needs Jinja2", hint="pip install 'nvsim[sweep]'") from None
    page = Environment(autoescape=True, trim_blocks=True).from_string(_PAGE)
    return page.render(s=summary, marks=MARKS, label=label, cell_text=cell_text) + "\n"
