#!/usr/bin/env python3
"""A corpus of a voice-sales API's pod logs: the events of deploy/demo/ngx_events.py, spread evenly
over some hours and pods, as structlog's JSONRenderer writes them. Deterministic by seed.

usage: gen_ngx.py LINES OUT_DIR [--pods 4] [--seed 1] [--hours 6] [--start 2026-11-20T06:00:00]
Writes OUT_DIR/pod-K.log, each in time order; about 330 bytes a line.
"""
import argparse
import datetime
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "deploy", "demo"))
from ngx_events import Events  # noqa: E402


def generate(lines, out, pods=4, seed=1, hours=6.0, start="2026-11-20T06:00:00"):
    os.makedirs(out, exist_ok=True)
    events = Events(seed)
    rng = events.rng
    utc = datetime.timezone.utc
    first = datetime.datetime.fromisoformat(start).replace(tzinfo=utc).timestamp()
    step = hours * 3600 / lines
    files = [open(os.path.join(out, f"pod-{k}.log"), "w", buffering=1 << 20, encoding="utf-8")
             for k in range(pods)]
    for i in range(lines):
        when = datetime.datetime.fromtimestamp(first + (i + rng.random()) * step, utc)
        level, logger, event, fields = events.next()
        fields.update(event=event, level=level, logger=logger,
                      timestamp=when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        files[rng.randrange(pods)].write(json.dumps(fields, ensure_ascii=False) + "\n")
    for f in files:
        f.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", type=int)
    parser.add_argument("out")
    parser.add_argument("--pods", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hours", type=float, default=6)
    parser.add_argument("--start", default="2026-11-20T06:00:00")
    a = parser.parse_args()
    generate(a.lines, a.out, a.pods, a.seed, a.hours, a.start)


if __name__ == "__main__":
    main()
