"""What ATK makes of plugins: for each folder of the one given, whether it is accepted and as what.

Prints one JSON object: {folder: {"ok": bool, "slug": text, "plugin": model, "error": text}}.
"""

import json
import pathlib
import sys

from atk.plugin import load_plugin_schema
from atk.sanitize import sanitize_directory_name


def judge(folder):
    try:
        plugin = load_plugin_schema(folder)
        slug = sanitize_directory_name(plugin.name)
    except Exception as error:  # Whatever it is, ATK refuses the plugin.
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}
    return {"ok": True, "slug": slug, "plugin": plugin.model_dump(mode="json")}


root = pathlib.Path(sys.argv[1])
json.dump({f.name: judge(f) for f in sorted(root.iterdir())}, sys.stdout)
