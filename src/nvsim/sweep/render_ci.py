"""A sweep's results for CI systems: JUnit XML (one test case a cell) and SARIF 2.1.0 (one result a cell that is not as expected)."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

from nvsim.diagnosis.catalogue import CATALOGUE
from nvsim.sweep.model import CellResult
from nvsim.sweep.render_text import label
from nvsim.sweep.summary import Summary

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_UNEXPECTED = "NVS000"


def junit(summary: Summary) -> str:
    """The results as JUnit XML: what is not as expected is a failure, what could not be answered an error."""
    results = summary.results
    errors = sum(r.verdict == "error" for r in results)
    suite = ET.Element(
        "testsuite",
        name=summary.name,
        tests=str(len(results)),
        failures=str(len(summary.unmet) - errors),
        errors=str(errors),
    )
    for result in results:
        case = ET.SubElement(suite, "testcase", classname=_xml(result.cell.image.name), name=_xml(label(result)))
        if result.verdict == "error":
            ET.SubElement(case, "error", message=_xml(result.why))
        elif not result.met:
            ET.SubElement(case, "failure", message=_xml(result.why), type=" ".join(result.codes) or result.verdict)
        if result.message:
            ET.SubElement(case, "system-out").text = _xml(result.message)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """`text` without the characters that XML 1.0 cannot hold."""
    return "".join(
        c if c in "\t\n\r" or 0x20 <= ord(c) < 0xD800 or 0xE000 <= ord(c) < 0xFFFE else "\ufffd" for c in text
    )


def sarif(summary: Summary, file: str) -> str:
    """The cells that are not as expected as SARIF; `file` is the sweep file, to which results point."""
    unmet = summary.unmet
    codes = sorted({c for r in unmet for c in r.codes} | ({_UNEXPECTED} if any(not r.codes for r in unmet) else set()))
    rules = [_rule(c) for c in codes]
    run = {
        "tool": {"driver": {"name": "nvsim", "rules": rules}},
        "results": [x for r in unmet for x in _results(r, file)],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, sort_keys=True) + "\n"


def _rule(code: str) -> dict[str, Any]:
    entry = CATALOGUE.get(code)
    if entry is None:
        return {"id": code, "name": "unexpected-outcome", "shortDescription": {"text": "not as the sweep file expects"}}
    return {
        "id": code,
        "name": entry.slug,
        "shortDescription": {"text": entry.title},
        "fullDescription": {"text": entry.explanation},
    }


def _results(result: CellResult, file: str) -> list[dict[str, Any]]:
    place = {"physicalLocation": {"artifactLocation": {"uri": file}}}
    text = f"{label(result)}: {result.why}"
    out = []
    for code in result.codes or (_UNEXPECTED,):
        entry = CATALOGUE.get(code)
        level = _LEVELS[entry.severity] if entry is not None else "error"
        out.append({"ruleId": code, "level": level, "message": {"text": text}, "locations": [place]})
    return out
