#!/usr/bin/env python3
"""The tidy checks find what they are for: each bad example is caught, each good one is not."""
import sys

import source_tidy
import sources

CO_AWAIT = [  # (statement, bad?)
    ("auto r = co_await g(Opts{.a = b});", True),
    ("auto r = co_await g(x, [s]() { return 1; });", True),
    ("co_await g({\"a\", \"b\"});", True),
    ("auto r = co_await g(std::move(options));", False),
    ("if (co_await g(x)) { h({1}); }", False),
    ("co_await g(a[i], x);", False),
    ("h({1}); co_await g(); h({2});", False),
]
BANNED = [
    ("strcpy(a, b);", True), ("std::system(\"ls\");", True), ("throw Error();", True),
    ("thread.detach();", True), ("std::regex r;", True), ("assert(x);", True),
    ("// throw and strcpy(a, b) in a comment", False), ("auto s = \"throw\";", False),
    ("static_assert(sizeof(x) == 8);", False), ("strtok_count(x);", False),
    ("throw Error();  // allow: the library's callback", False),
]


def findings(check, *arguments):
    report = sources.Report()
    check(*arguments, report)
    return report.findings


def main():
    wrong = []
    for statement, bad in CO_AWAIT:
        code = sources.code_only("task<> f() { " + statement + " }\n")
        if bool(findings(source_tidy.check_co_await, "x.cc", code)) != bad:
            wrong.append(statement)
    for statement, bad in BANNED:
        text = "void f() {\n  " + statement + "\n}\n"
        if bool(findings(source_tidy.check_banned, "x.cc", text, sources.code_only(text))) != bad:
            wrong.append(statement)
    body = "  g(\")}{\");\n"
    for text, length in [
            ("namespace a {\nclass B {\n  int f() const {\n" + body * 80 + "  }\n};\n}\n", 82),
            ("namespace a {\nvoid f(int x,\n       int y) {\n" + body * 80 + "}\n}\n", 83),
            ("namespace a {\nstruct B {\n  int v[2] = {1, 2};\n  void g() { h(); }\n};\n}\n", 1)]:
        found = [last - first + 1 for first, last in source_tidy.functions(sources.code_only(text))]
        if found != [length]:
            wrong.append(f"functions of {text[:40]!r}: {found}, expected {[length]}")
    for item in wrong:
        print("judged wrongly:", item)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
