#!/usr/bin/env python3
"""C++ rules a formatter cannot hold: include direction, sizes, banned calls, co_await statements.

A rule is waived on its own line (or the line above) by a comment that gives the reason:
`// size: why this is long`, `// heavy: why this header needs it`, `// allow: why`.
"""
import re

import sources

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 800

# The doors of the store are interfaces alone, so that what lies below `store` can implement them.
LEAF_HEADERS = {"store/scan.h": ("proto/",), "store/store.h": ("proto/", "store/scan.h")}

# Outside headers -> the library a room must name to include them.
LIBRARIES = [(r"boost/", "boost"), (r"openssl/", "ssl"), (r"simdjson", "simdjson"),
             (r"zstd", "zstd"), (r"re2/", "re2"), (r"lmdb", "lmdb"), (r"yaml-cpp/", "yaml"),
             (r"CLI/", "cli11"), (r"fmt/", "fmt"), (r"spdlog/", "spdlog"), (r"roaring", "roaring"),
             (r"snappy", "snappy"), (r"zlib\.h", "zlib"), (r"google/protobuf", "protobuf"),
             (r"xxh", "xxhash")]
# Slow to compile: only in .cc files, and in headers that no other room includes.
HEAVY = re.compile(r"boost/|simdjson|re2/|yaml-cpp/|CLI/|spdlog/|fmt/|gtest/|gmock/|regex$")

BANNED = [
    (r"\b(?:strcpy|strcat|vsprintf|gets|strtok)\s*\(|\bstd::sprintf\b", "unbounded C string call"),
    (r"\bstd::system\s*\(|(?<!\w)::system\s*\(|\bpopen\s*\(", "starts a shell"),
    (r"\bstd::regex\b|#include <regex>", "std::regex: use RE2"),
    (r"\.detach\(\)|\bdetached\b", "detached work: use TaskGroup or join"),
    (r"\bthrow\b(?!\s*\()", "throw: return a Status"),
    (r"\busing namespace (?!std::\w*literals|std::chrono_literals)", "using namespace"),
    (r"\b(?:rand|srand)\s*\(", "rand: use a seeded generator"),
    (r"\bassert\s*\(", "assert: use CHECK or DCHECK"),
    (r"\bTODO\b", "TODO without a home: finish it or file it"),
]


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def waived(lines, number, word):
    """Is there a `// word: reason` on this line or in the comment block right above it?"""
    pattern = re.compile(r"//.*\b" + word + r":\s*\S")
    if pattern.search(lines[number - 1]):
        return True
    above = number - 2
    while above >= 0 and lines[above].lstrip().startswith("//"):
        if pattern.search(lines[above]):
            return True
        above -= 1
    return False


def room_of(name, rooms):
    folder = name.rsplit("/", 1)[0]
    while folder and folder not in rooms:
        folder = folder.rsplit("/", 1)[0] if "/" in folder else ""
    return folder


def exported_headers(texts):
    """Headers that files of other folders include, directly or through such a header."""
    includes = {n: set(re.findall(r'^#include "([^"]+)"', t, re.M)) for n, t in texts.items()}
    todo = [i for n, found in includes.items() if n.startswith(sources.PRODUCT)
            for i in found if i.rsplit("/", 1)[0] != n.rsplit("/", 1)[0]]
    exported = set()
    while todo:
        name = todo.pop()
        if name not in exported:
            exported.add(name)
            todo += includes.get(name, ())
    return exported


def check_includes(name, text, rooms, exported, report):
    room = room_of(name, rooms)
    lines = text.split("\n")
    for match in re.finditer(r'^#include ([<"])([^>"]+)[>"]', text, re.M):
        number, quoted, path = line_of(text, match.start()), match[1] == '"', match[2]
        if name in exported and HEAVY.match(path) and not waived(lines, number, "heavy"):
            report.add(name, number, f"{path} is slow to compile: include it in the .cc")
        if not room:
            continue
        if quoted:
            target = room_of(path, rooms)
            if path.startswith(("tests/", "bench/")) or path.endswith("main.h"):
                report.add(name, number, f"nothing may include {path}")
            elif not target:
                report.add(name, number, f"{path}: include from the repository's root")
            elif name in LEAF_HEADERS:
                if not path.startswith(LEAF_HEADERS[name]):
                    report.add(name, number, f"{name} is a leaf: it may not include {path}")
            elif target not in rooms[room] and path not in LEAF_HEADERS:
                report.add(name, number, f"{room} may not include {target} (CMakeLists.txt)")
            continue
        for pattern, library in LIBRARIES:
            if re.match(pattern, path) and f"skald_dep_{library}" not in rooms[room]:
                report.add(name, number, f"{room} does not name skald_dep_{library}")


def functions(code):
    """(first line, last line) of every function body's definition at namespace or class scope."""
    stack, start = [], 0
    for match in re.finditer(r"[;{}]|^[ ]*#(?:[^\n\\]|\\\n|\\.)*", code, re.M):
        token = match.group(0).lstrip()[0]
        if token == "#":
            start = match.end()
        elif token == "{":
            head = code[start:match.start()].strip()
            outer_open = all(kind == "scope" for kind, _ in stack)
            if re.match(r"(inline )?namespace\b|extern\s*$", head) or (
                    re.match(r"(template\s*<.*>\s*)?(class|struct|union|enum)\b", head, re.S) and
                    "(" not in re.sub(r"\(\s*\d*\s*\)|alignas\([^)]*\)", "", head)):
                kind = "scope"
            elif outer_open and "(" in head and not re.search(r"=\s*$", head):
                kind = "function"
            else:
                kind = "block"
            first = start + len(code[start:match.start()]) - len(code[start:match.start()].lstrip())
            stack.append((kind, line_of(code, first)))
            start = match.end()
        elif token == "}":
            if stack:
                kind, first = stack.pop()
                if kind == "function":
                    yield first, line_of(code, match.start())
            start = match.end()
        else:
            start = match.end()


def check_sizes(name, text, code, report):
    lines = text.split("\n")
    if len(lines) - 1 > FILE_LINES_MAX and not re.search(r"//.*\bsize:\s*\S", text):
        report.add(name, 0, f"{len(lines) - 1} lines, at most {FILE_LINES_MAX} "
                            "(or say why: `// size: reason`)")
    for first, last in functions(code):
        length = last - first + 1
        if length > FUNCTION_LINES_MAX and not waived(lines, first, "size"):
            report.add(name, first, f"function of {length} lines, at most {FUNCTION_LINES_MAX}")


def check_banned(name, text, code, report):
    lines = text.split("\n")
    for pattern, message in BANNED:
        for match in re.finditer(pattern, text if "TODO" in pattern else code):
            number = line_of(code, match.start())
            if not waived(lines, number, "allow"):
                report.add(name, number, message)


def statement_around(code, position):
    """The text of the statement that contains `position`, without a following block."""
    begin = max(code.rfind(c, 0, position) for c in ";{}") + 1
    depth, end = 0, position
    for end in range(begin, len(code)):
        c = code[end]
        if c in "([":
            depth += 1
        elif c in ")]":
            depth -= 1
        elif depth <= 0 and end >= position and c in ";{":
            break
    return begin, code[begin:end]


def check_co_await(name, code, report):
    """GCC 12 destroys temporaries of such statements twice: no brace and no capture in the
    parentheses of a statement that awaits."""
    for match in re.finditer(r"\bco_await\b", code):
        _, statement = statement_around(code, match.start())
        depth = 0
        for i, c in enumerate(statement):
            if c == "(":
                depth += 1
            elif c == ")":
                depth -= 1
            elif depth > 0 and c == "{":
                report.add(name, line_of(code, match.start()), "co_await with a braced temporary")
                break
            elif depth > 0 and c == "[" and re.search(r"[(,=]\s*$", statement[:i]) and \
                    not re.match(r"\[\s*\]", statement[i:]):
                report.add(name, line_of(code, match.start()), "co_await with a capturing lambda")
                break


def check_header(name, text, report):
    if not re.search(r"^#pragma once$", text, re.M):
        report.add(name, 0, "a header starts with #pragma once")


def main():
    report, rooms = sources.Report(), sources.rooms()
    texts = {name: sources.read(name) for name in sources.tracked(".h", ".cc")}
    exported = exported_headers(texts)
    for name, text in texts.items():
        code = sources.code_only(text)
        check_includes(name, text, rooms, exported, report)
        if name.endswith(".h"):
            check_header(name, text, report)
        if name.startswith(sources.PRODUCT):
            check_sizes(name, text, code, report)
            check_banned(name, text, code, report)
        check_co_await(name, code, report)
    report.finish()


if __name__ == "__main__":
    main()
