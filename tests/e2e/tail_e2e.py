#!/usr/bin/env python3
"""Live tails over a real WebSocket: one that reads beside many pushes gets every line once and in
order, one that stops reading loses entries and is told which, pings go both ways, and the end has the
code that clients look at.
"""
import json
import struct
import threading
import time
import urllib.parse

import harness
from harness import check, equal
from websocket import CLOSE, PING, PONG, TEXT, WebSocket


def open_tail(port, query):
    target = "/loki/api/v1/tail?" + urllib.parse.urlencode({"query": query})
    return WebSocket(port, target, receive_buffer=64 << 10)


def push(skald, job, lines):
    now = time.time_ns()
    status, text = skald.http.push([({"job": job}, [(now + i, line) for i, line in enumerate(lines)])])
    equal(status, 204, f"push: {text}")


def every_line_once_and_in_order(skald):
    tail = open_tail(skald.port, '{job="busy"}')
    want = [f"{writer} {i}" for writer in range(4) for i in range(500)]

    def write(writer):
        http = harness.Http(skald.port)
        for i in range(0, 500, 10):
            now = time.time_ns()
            http.push([({"job": "busy", "writer": str(writer)},
                        [(now + k, f"{writer} {i + k}") for k in range(10)])])
    threads = [threading.Thread(target=write, args=(w,)) for w in range(4)]
    for thread in threads:
        thread.start()
    came = []
    while len(came) < len(want):
        message = json.loads(tail.until(TEXT))
        check("dropped_entries" not in message, "a reader that keeps up loses nothing")
        values = [value for stream in message["streams"] for value in stream["values"]]
        check(0 < len(values) <= 100, f"{len(values)} entries in a frame")
        came += [value[1] for value in values]
    for thread in threads:
        thread.join()
    equal(sorted(came), sorted(want), "lines of the tail")
    for writer in range(4):
        mine = [line for line in came if line.startswith(f"{writer} ")]
        equal(mine, [f"{writer} {i}" for i in range(500)], f"order of writer {writer}")
    tail.close()


def a_slow_reader_is_told_what_it_lost(skald):
    tail = open_tail(skald.port, '{job="slow"}')
    push(skald, "slow", ["first"])
    tail.until(TEXT)
    body = "x" * 2000
    for batch in range(120):          # 48 MB; nobody reads
        push(skald, "slow", [f"{batch} {i} {body}" for i in range(200)])
    dropped = []
    while not dropped:
        dropped = json.loads(tail.until(TEXT)).get("dropped_entries", [])
        push(skald, "slow", ["one more"])
    check(len(dropped) <= 1000, f"{len(dropped)} dropped entries")
    for entry in dropped:
        check(int(entry["timestamp"]) > 10**18 and entry["labels"]["job"] == "slow",
              f"a dropped entry: {entry}")
    # Once it reads again, it is a tail as any other.
    while "caught up" not in tail.until(TEXT).decode():
        push(skald, "slow", ["caught up"])
    tail.close()


def pings_go_both_ways(skald):
    tail = open_tail(skald.port, '{job="quiet"}')
    for _ in range(2):
        tail.until(PING)             # without any data
    tail.send(PING, b"are you there")
    equal(tail.until(PONG), b"are you there", "the answer to a ping")
    tail.send(CLOSE, struct.pack(">H", 1000))
    equal(struct.unpack(">H", tail.until(CLOSE)[:2])[0], 1000, "the answer to a close")
    tail.close()


def the_end_says_why(skald):
    tail = open_tail(skald.port, '{job="quiet"}')
    tail.until(PING)
    skald.stop()
    code, text = struct.unpack(">H", (payload := tail.until(CLOSE))[:2])[0], payload[2:]
    check(code in (1001, 1011) and text, f"close at a shutdown: {code} {text}")


def test():
    skald = harness.Skald()
    every_line_once_and_in_order(skald)
    a_slow_reader_is_told_what_it_lost(skald)
    pings_go_both_ways(skald)
    the_end_says_why(skald)


if __name__ == "__main__":
    harness.run(test)
