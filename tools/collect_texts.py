"""``python -m tools.collect_texts``: write locales/en/nodeDefs.json from the node schemas, check the translations.

Prints the keys that Korean and Chinese lack or have too many; exit status 1 when there are any.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from support.bootstrap import ROOT, use_host
from support.schemas import every_input, pack_nodes

TRANSLATIONS = ("ko", "zh")


def texts_of(node) -> dict:
    """The entry of one node class: display name, description, and name and tooltip of every input and output."""
    schema = node.GET_SCHEMA()
    inputs = {}
    for path, entry in every_input(schema.inputs):
        key = path.replace(".", "_")  # the interface looks nested inputs up this way
        text = {"name": entry.display_name or entry.id, "tooltip": entry.tooltip}
        if inputs.setdefault(key, text) != text:
            raise ValueError(f"{schema.node_id}: the inputs at '{path}' share one text but differ in name or tooltip")
    outputs = {
        str(index): {"name": entry.display_name or entry.id, "tooltip": entry.tooltip}
        for index, entry in enumerate(schema.outputs)
    }
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": inputs,
        "outputs": outputs,
    }


def english() -> dict:
    """The whole English file: node id to its texts."""
    return {node.GET_SCHEMA().node_id: texts_of(node) for node in pack_nodes()}


def locale_file(language: str) -> Path:
    return ROOT / "locales" / language / "nodeDefs.json"


def keys(texts: dict, prefix: str = "") -> Iterator[str]:
    """The address of every text ("BetwixtMatchLines/inputs/first/tooltip"); empty texts do not count."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}/")
        elif value:
            yield prefix + key


def differences(language: str, expected: dict) -> list[str]:
    """What a translation lacks ("- key") or has beyond the schemas ("+ key")."""
    path = locale_file(language)
    present = set(keys(json.loads(path.read_text(encoding="utf-8")))) if path.exists() else set()
    wanted = set(keys(expected))
    return [f"- {key}" for key in sorted(wanted - present)] + [f"+ {key}" for key in sorted(present - wanted)]


def main() -> int:
    use_host()
    texts = english()
    locale_file("en").parent.mkdir(parents=True, exist_ok=True)
    locale_file("en").write_text(json.dumps(texts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    report = [f"{language} {line}" for language in TRANSLATIONS for line in differences(language, texts)]
    print("\n".join([*report, f"{len(texts)} nodes, {len(report)} differences in {' and '.join(TRANSLATIONS)}"]))
    return 1 if report else 0


if __name__ == "__main__":
    sys.exit(main())
