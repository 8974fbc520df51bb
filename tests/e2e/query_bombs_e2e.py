#!/usr/bin/env python3
"""Queries made to hurt: regular expressions that explode, patterns of 1 MB, 10,000 nested
parentheses, templates that print for ever. Each is refused, or answered like any other, soon and
with little memory; the store goes on. A query whose client leaves, or whose time is over, stops.
The bounds are wider than our promise (1 s, 64 MB), because machines that run tests are slow;
bench/ measures.
"""
import os
import socket
import time
import urllib.parse

import harness
from harness import check, equal

SECONDS_MAX = 15
MEMORY_MAX_MB = 64
NOW = time.time_ns()
JOB = '{job="bombs"}'


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def bombs():
    regex = lambda text: f"{JOB} |~ {quoted(text)}"
    yield "nested repetition", regex("((a{0,100}){0,100}){0,100}")
    yield "repetition of classes", regex("(\\pL{100}){9}")
    yield "repeated repetition", regex("(x+x+)+y")
    yield "case-insensitive class", regex("(?i)" + "[a-z]{1,200}" * 20)
    yield "many stars", regex(".*" * 2000 + "=")
    yield "many alternatives", regex("|".join(f"word{i}[0-9]+x" for i in range(5000)))
    yield "60 kB of groups", regex("(a|b)" * 12000)
    yield "a pattern of 1 MB", regex("ab" * (1 << 19))
    yield "a line filter of 1 MB", f'{JOB} |= "{"x" * (1 << 20)}"'
    yield "many expressions", JOB + ' |~ "(a{0,500}b){0,2}c"' * 200
    yield "different expressions", JOB + "".join(f' |~ "(a{{0,{300 + i}}}b){{0,2}}c"'
                                                 for i in range(200))
    yield "a thousand letters", regex("\\pL{1000}")
    yield "classes of case", regex("(?i)[\\pL\\pN]{300}x")
    yield "label expression", f"{JOB} | json | event=~{quoted('((a{0,100}){0,100}){0,100}')}"
    yield "stream expression", '{job=~"((a{0,100}){0,100}){0,100}"}'
    yield "regexp parser", f"{JOB} | regexp {quoted('(?P<x>(a{0,200}){0,200})')}"
    yield "open parentheses", "(" * 10000
    yield "nested parentheses", "(" * 10000 + f"rate({JOB}[5m])" + ")" * 10000
    yield "nested sums", "sum(" * 10000 + f"rate({JOB}[5m])" + ")" * 10000
    yield "nested conditions", f"{JOB} | " + "(" * 10000 + "a=1" + ")" * 10000
    yield "long condition", f"{JOB} | " + " or ".join(["a=1"] * 10000)
    yield "long sum", " + ".join(["1"] * 20000)
    yield "nested operators", "1+(" * 10000 + "1" + ")" * 10000
    yield "repeat in a template", f'{JOB} | line_format "{{{{ repeat 1000000000 \\"x\\" }}}}"'
    yield "nested templates", f"{JOB} | line_format {quoted('{{if true}}' * 5000 + '{{end}}' * 5000)}"
    yield "deep JSON path", f"{JOB} | json a={quoted('.'.join(['a'] * 5000))}"
    yield "a range of ages", f"sum(count_over_time({JOB}[99999999y]))"


def memory_kb(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key))


def ask(skald, query):
    form = urllib.parse.urlencode({"query": query, "start": NOW - 3600 * 10**9,
                                   "end": NOW + 3600 * 10**9, "step": "60"})
    started = time.monotonic()
    status, _, body = skald.http.request("POST", "/loki/api/v1/query_range", form,
                                         {"Content-Type": "application/x-www-form-urlencoded"})
    return status, body, time.monotonic() - started


# Minutes of work on a few thousand lines.
SLOW = '{{ repeat 1000000 "x" | upper | lower | count "y" }}'
ENDLESS = f'sum(count_over_time({JOB} | label_format y=`{SLOW}` | y!="" [2h]))'


def metric(skald, name):
    lines = skald.http.get("/metrics")[2].decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + " "))


def falls_silent(skald):
    before = harness.cpu_seconds(skald.pid)
    time.sleep(0.5)
    return harness.cpu_seconds(skald.pid) - before < 0.1


def check_abandoned(skald):
    """Whoever closes the connection stops the query; a deadline stops it, too."""
    before = harness.cpu_seconds(skald.pid)
    with socket.create_connection(("127.0.0.1", skald.port)) as client:
        target = "/loki/api/v1/query?" + urllib.parse.urlencode({"query": ENDLESS, "time": NOW + 10**9})
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        harness.wait_until("the query works",
                           lambda: harness.cpu_seconds(skald.pid) - before > 0.3)
        equal(metric(skald, "skald_queries_cancelled_total"), 0, "cancelled before")
    left = time.monotonic()
    harness.wait_until("the query is cancelled",
                       lambda: metric(skald, "skald_queries_cancelled_total") == 1)
    stopped = time.monotonic() - left
    harness.wait_until("silence", lambda: falls_silent(skald))
    limits = {"X-Loki-Query-Limits": '{"maxQueryTime": "500ms"}'}
    target = "/loki/api/v1/query?" + urllib.parse.urlencode({"query": ENDLESS, "time": NOW + 10**9})
    status, _, body = skald.http.request("GET", target, headers=limits)
    equal(status, 504, f"past its deadline: {body[:200]}")
    harness.wait_until("silence", lambda: falls_silent(skald))
    print(f"abandoned: stopped after {stopped:.2f} s")


def test():
    skald = harness.Skald()
    lines = [(NOW + i, '{"event": "request", "user": "user-%d", "path": "/a/b/%d", "n": %d}'
              % (i % 97, i % 13, i)) for i in range(5000)]
    equal(skald.http.push([({"job": "bombs"}, lines)])[0], 204, "push")
    status, body, _ = ask(skald, JOB)
    equal(status, 200, f"a harmless query: {body[:200]}")
    slowest = greediest = ("", 0)
    for name, query in bombs():
        with open(f"/proc/{skald.pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")  # the peak starts again at what is held now
        idle = memory_kb(skald.pid, "VmRSS")
        cpu = harness.cpu_seconds(skald.pid)
        status, body, seconds = ask(skald, query)
        cpu = harness.cpu_seconds(skald.pid) - cpu
        used = (memory_kb(skald.pid, "VmHWM") - idle) / 1024
        if os.environ.get("SKALD_SHOW_BOMBS"):
            print(f"{name:24s} {status} {seconds * 1e3:7.0f} ms "
                  f"{cpu * 1e3:5.0f} ms CPU {used:6.1f} MB {body[:90]!r}")
        check(status == 200 or 400 <= status < 500 or status == 504,
              f"{name}: {status} {body[:300]}")
        check(status == 200 or body.strip(), f"{name}: {status} without a reason")
        check(skald.alive(), f"the store died of: {name}")
        check(seconds < SECONDS_MAX, f"{name}: {seconds:.1f} s")
        check(used < MEMORY_MAX_MB, f"{name}: {used:.1f} MB above idle")
        slowest = max(slowest, (name, seconds), key=lambda pair: pair[1])
        greediest = max(greediest, (name, used), key=lambda pair: pair[1])
    check_abandoned(skald)
    status, body, _ = ask(skald, JOB + ' |= "user-5"')
    equal(status, 200, f"a harmless query afterwards: {body[:200]}")
    print(f"slowest: {slowest[0]}, {slowest[1]:.2f} s; greediest: {greediest[0]}, "
          f"{greediest[1]:.1f} MB")
    equal(skald.stop(), 0, "exit code")


if __name__ == "__main__":
    harness.run(test)
