#!/usr/bin/env python3
"""Collects Compose documents from checkouts of compose-go and compose-spec, for the tests of atelier-compose.

usage: documents.py INTO CHECKOUT...

Takes the YAML files, what stands between backticks in Go tests, and the fenced examples in Markdown. Each document becomes
INTO/NUMBER-NAME/compose.yaml. Then: ATELIER_TEST_COMPOSE_DOCUMENTS=INTO cargo nextest run -p atelier-compose
"""

import pathlib
import re
import sys
import textwrap

TOP = re.compile(r"^(name|services|include|networks|volumes|configs|secrets|models|version)\s*:", re.M)
GO = re.compile(r"`([^`]*)`")
FENCE = re.compile(r"^```(?:yml|yaml)[^\n]*\n(.*?)^```", re.M | re.S)


def documents(root):
    for path in sorted(root.rglob("*")):
        if not path.is_file() or ".git" in path.parts:
            continue
        if path.suffix in (".yml", ".yaml"):
            yield path, [path.read_text(errors="replace")]
        elif path.name.endswith("_test.go"):
            yield path, GO.findall(path.read_text())
        elif path.suffix == ".md":
            yield path, FENCE.findall(path.read_text())


def main():
    into, *roots = map(pathlib.Path, sys.argv[1:])
    seen = set()
    for root in roots:
        for path, texts in documents(root):
            for text in texts:
                text = textwrap.dedent(text.replace("\t", "  ")).strip("\n") + "\n"
                if not TOP.search(text) or text in seen:
                    continue
                seen.add(text)
                folder = into / f"{len(seen):04}-{path.stem}"
                folder.mkdir(parents=True)
                (folder / "compose.yaml").write_text(text)
    print(f"{len(seen)} documents in {into}")


if __name__ == "__main__":
    main()
