#!/usr/bin/env python3
"""A structlog program: the pods of a voice-sales API, each logging JSON lines to its own file.

usage: ngx_demo.py DIR [--pods 2] [--rate 200] [--lines 0] [--seed 1] [--error-share 1]
Writes DIR/pod-K.log until SIGTERM or, with --lines, that many lines in all. --rate is lines a
second over all pods; 0 means as fast as it goes.
"""
import argparse
import os
import signal
import time

import structlog

from ngx_events import Events


def pod_logger(path):
    """structlog as a service configures it; one JSON object a line, flushed line by line."""
    return structlog.wrap_logger(
        structlog.WriteLogger(open(path, "a", encoding="utf-8")),
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info,
                    structlog.processors.TimeStamper(fmt="iso", utc=True),
                    structlog.processors.JSONRenderer(ensure_ascii=False)])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir")
    parser.add_argument("--pods", type=int, default=2)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--lines", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--error-share", type=float, default=1)
    options = parser.parse_args()
    os.makedirs(options.dir, exist_ok=True)
    pods = [pod_logger(os.path.join(options.dir, f"pod-{k}.log")) for k in range(options.pods)]
    events = Events(options.seed, options.error_share)
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    written, started = 0, time.monotonic()
    while not stopping and (options.lines == 0 or written < options.lines):
        level, name, event, fields = events.next()
        log = pods[events.rng.randrange(options.pods)]
        getattr(log, level)(event, **fields, logger=name)
        written += 1
        if options.rate > 0:
            ahead = written / options.rate - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)


if __name__ == "__main__":
    main()
