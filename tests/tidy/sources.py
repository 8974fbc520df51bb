"""Shared by the tidy checks: tracked files, rooms of CMakeLists.txt, C++ without its comments."""
import os
import re
import subprocess
import sys

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRODUCT = ("proto/", "agent/", "store/", "query/")


def tracked(*suffixes):
    """Tracked and not ignored files, so that a check bites before the commit."""
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         cwd=REPO, check=True, stdout=subprocess.PIPE).stdout
    names = sorted({n for n in out.decode().split("\0") if n})
    return [n for n in names if (not suffixes or n.endswith(suffixes)) and
            os.path.isfile(os.path.join(REPO, n))]


def read(name):
    with open(os.path.join(REPO, name), "rb") as f:
        return f.read().decode("utf-8", "replace")


def rooms():
    """{room: set of the rooms and skald_dep_* it may include, itself and transitive ones too}."""
    text = re.sub(r"#[^\n]*", "", read("CMakeLists.txt"))
    direct = {}
    for body in re.findall(r"skald_room\(([^)]*)\)", text):
        name, *uses = body.split()
        direct[name] = set(uses)
    closed = {}
    for name in direct:
        seen, todo = set(), [name]
        while todo:
            room = todo.pop()
            if room not in seen:
                seen.add(room)
                todo += direct.get(room, ())
        closed[name] = seen
    return closed


_TOKENS = re.compile(
    r'R"([^()\\ ]{0,16})\((?:.|\n)*?\)\1"|//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"|'
    r"(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'")


def code_only(text):
    """The same text with comments, string and character literals blanked, lines kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return _TOKENS.sub(blank, text)


class Report:
    """Collects findings; finish() prints them and ends the program."""

    def __init__(self):
        self.findings = []

    def add(self, name, line, message):
        self.findings.append(f"{name}:{line}: {message}" if line else f"{name}: {message}")

    def finish(self):
        for finding in self.findings:
            print(finding)
        print(f"{len(self.findings)} findings")
        sys.exit(1 if self.findings else 0)
