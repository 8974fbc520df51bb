#!/usr/bin/env python3
"""Draws text as a terminal window in SVG: terminal_svg.py < output.txt > docs/make-run.svg
Lines longer than --columns are cut with an ellipsis. Lines that start with `$ ` are commands.
"""
import argparse
import html
import sys

COLUMN, LINE, MARGIN, BAR = 7.83, 18, 16, 30
STYLE = """<style>
text { font: 13px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #d7dae0;
       white-space: pre }
.command { fill: #8fd18f; font-weight: bold } .name { fill: #7fb4ec } .note { fill: #9aa1ac }
.log { fill: #e6c98a }
</style>"""


def css_class(line):
    if line.startswith("$ "):
        return "command"
    if line.lstrip().startswith("{"):
        return "log"
    if line.startswith(("First query", "Skald is up", "Ask more")):
        return "name"
    return ""


def draw(lines, columns):
    width = columns * COLUMN + 2 * MARGIN
    height = BAR + len(lines) * LINE + MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
           f'width="{width:.0f}" height="{height:.0f}" role="img">', STYLE,
           f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#1f232b"/>']
    for i, colour in enumerate(("#e0645c", "#e5bd4f", "#6fbf5e")):
        out.append(f'<circle cx="{MARGIN + 4 + 18 * i}" cy="16" r="5" fill="{colour}"/>')
    for i, line in enumerate(lines):
        if len(line) > columns:
            line = line[:columns - 1] + "…"
        if line.strip():
            out.append(f'<text class="{css_class(line)}" x="{MARGIN}" y="{BAR + LINE * (i + .8):.1f}" '
                       f'textLength="{len(line) * COLUMN:.1f}">{html.escape(line)}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--columns", type=int, default=118)
    options = parser.parse_args()
    sys.stdout.write(draw(sys.stdin.read().rstrip("\n").split("\n"), options.columns))


if __name__ == "__main__":
    main()
