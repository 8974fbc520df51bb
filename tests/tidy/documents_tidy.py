#!/usr/bin/env python3
"""Rules of the repository as a whole: links resolve, rooms are documented, the room map is true,
nothing tracked names one machine or a package registry, scripts parse."""
import ast
import os
import re

import sources

# Written apart so that this file does not find itself.
PRIVATE = re.compile("|".join([
    r"(?<![\w.])/wor" + r"k/(?!dir)", r"/tm" + r"p/w/", r"/roo" + r"t/", r"py" + r"pi\.", r"np" + r"mjs",
    r"proxy\.gola" + r"ng", r"deb\.deb" + r"ian\.org", r"https?://[\w.]*(?:artifac" + r"tory|nex" + r"us)",
    r"\bfar" + r"m-\w", r"issu" + r"es show"]))
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)|<img[^>]+src=\"([^\"]+)\"")
ROOM_README_LINES_MAX = 30


def check_links(name, text, report):
    prose = re.sub(r"```.*?```", lambda m: "\n" * m.group(0).count("\n"), text, flags=re.S)
    for match in LINK.finditer(prose):
        target = next(g for g in match.groups() if g)
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            continue
        path, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(name), path))
        line = prose.count("\n", 0, match.start()) + 1
        if not os.path.exists(os.path.join(sources.REPO, full)):
            report.add(name, line, f"link to {target}: no such file")
        elif anchor and full.endswith(".md"):
            headings = {re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-")
                        for h in re.findall(r"^#+ (.*)$", sources.read(full), re.M)}
            if anchor not in headings:
                report.add(name, line, f"link to {target}: no such heading")


def check_private(name, report):
    if name.startswith("tests/corpus/"):
        return
    for number, line in enumerate(sources.read(name).split("\n"), 1):
        match = PRIVATE.search(line)
        if match:
            report.add(name, number, f"names a machine's path or a registry: {match.group(0)}")


def check_rooms(report):
    """docs/architecture.md has one row for each room of CMakeLists.txt that has code, and a README
    stands in each top-level room."""
    rooms = sources.rooms()
    files = sources.tracked(".h", ".cc")
    used = {r for r in rooms if any(f.rsplit("/", 1)[0] == r for f in files)}
    architecture = "docs/architecture.md"
    if os.path.exists(os.path.join(sources.REPO, architecture)):
        rows = set(re.findall(r"^\| `([a-z]+(?:/[a-z0-9]+)*)` \|", sources.read(architecture), re.M))
        for room in sorted(used - rows):
            report.add(architecture, 0, f"no row for the room {room}")
        for room in sorted(rows - set(rooms)):
            report.add(architecture, 0, f"a row for {room}, which is no room")
    for top in ("proto", "agent", "store", "query"):
        name = f"{top}/README.md"
        if not os.path.exists(os.path.join(sources.REPO, name)):
            report.add(name, 0, "a room's README is missing")


def check_room_readme(name, text, report):
    lines = text.rstrip("\n").count("\n") + 1
    if lines > ROOM_README_LINES_MAX:
        report.add(name, 0, f"{lines} lines, at most {ROOM_README_LINES_MAX}")
    folder = os.path.dirname(name)
    for row in re.findall(r"^\| `([a-z]+)/?` \|", text, re.M):
        if not os.path.isdir(os.path.join(sources.REPO, folder, row)):
            report.add(name, 0, f"a row for {row}, which is no folder")


def check_python(name, text, report):
    try:
        ast.parse(text)
    except SyntaxError as error:
        report.add(name, error.lineno or 0, f"does not parse: {error.msg}")


def check_reference(report):
    """docs/operations.md has a row for every configuration key the server reads and every metric it
    exposes, and for no other."""
    document = "docs/operations.md"
    text = sources.read(document)
    for folder, pattern, row in [
            ("query/server/", r"\.(?:get\w*|map|list)\(\"(\w+)\"",
             r"^\| `(?:[a-z_]+(?:\[\])?\.)*([a-z0-9_]+)` \| [^|]*\| [^|]*\|$"),
            ("query/api/", r"\"((?:skald|loki|process)_[a-z_]+)\",",
             r"^\| `((?:skald|loki|process)_\w+)` \| [^|]*\|$")]:
        files = [f for f in sources.tracked(".cc") if f.startswith(folder)]
        code = {k for f in files for k in re.findall(pattern, sources.read(f))}
        rows = set(re.findall(row, text, re.M))
        for key in sorted(code - rows):
            if not re.search(rf"[`.]{key}[`.\[]", text) and not key.endswith(
                    ("_bucket", "_sum", "_count")):
                report.add(document, 0, f"{key} of {folder} is not documented")
        for key in sorted(rows - code - {"ruler"}):
            report.add(document, 0, f"documents {key}, which {folder} does not know")


def main():
    report = sources.Report()
    check_rooms(report)
    check_reference(report)
    for name in sources.tracked():
        if not name.endswith((".gz", ".png", ".zst", ".bin")):
            check_private(name, report)
        if name.endswith(".md"):
            text = sources.read(name)
            check_links(name, text, report)
            if os.path.basename(name) == "README.md" and name.startswith(sources.PRODUCT):
                check_room_readme(name, text, report)
        elif name.endswith(".py"):
            check_python(name, sources.read(name), report)
    report.finish()


if __name__ == "__main__":
    main()
