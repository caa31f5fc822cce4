"""How fixtures are written: the same bytes on every run."""

import hashlib
import json


def write_json(path, value):
    """Sorted keys; lists of numbers stay on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_format(value, "") + "\n", encoding="utf-8")


def _format(value, indent):
    inner = indent + " "
    is_flat = not isinstance(value, (dict, list)) or not value
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        is_flat = True
    if is_flat:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        items = [inner + _format(item, inner) for item in value]
        return "[\n" + ",\n".join(items) + "\n" + indent + "]"
    items = [f"{inner}{json.dumps(key)}: {_format(value[key], inner)}" for key in sorted(value)]
    return "{\n" + ",\n".join(items) + "\n" + indent + "}"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
