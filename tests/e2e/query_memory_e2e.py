#!/usr/bin/env python3
"""Queries made to use memory, against a budget of 32 MiB: each is refused in words that name the
budget and say what to do, or answered; resident memory stays within idle, budget and a margin, and
goes back afterwards. An answer whose client reads slowly is counted and holds no more than it has.
"""
import socket
import time
import urllib.parse

import harness
from harness import check, equal, forget_peak, memory_mb

BUDGET_MB = 32
MARGIN_MB = 48  # decoded blocks of the two workers, an allocation under way, what the allocator keeps
NOW = time.time_ns() - 10**9 * 600
JOB = '{job="a"}'
CONFIG = f"""
querier:
  memory_max: {BUDGET_MB}MB
limits_config:
  max_entries_limit_per_query: 1000000
"""
REFUSED = (f"the query needs more than its {BUDGET_MB} MiB of memory; select fewer streams, a "
           "shorter range, a larger step or fewer groups")
LINES, ENTRIES, TEXT = 20000, 15000, "x" * 300


def hostile():
    series = f"sum by (id, n, text) (count_over_time({JOB} | json [1h]))"
    variables = "".join(f'{{{{ $v{i} := repeat 4000000 "x" }}}}' for i in range(20))
    yield "many series", series
    yield "both sides", f"{series} and {series}"
    yield "every value", f"quantile_over_time(0.5, {JOB} | json | unwrap n [1h]) by (id, text)"
    yield "template's variables", f'sum(count_over_time({JOB} | label_format l=`{variables}` | l!="" [1h]))'
    yield "long lines", f"{JOB} | line_format `{{{{ repeat 100000 \"x\" }}}}`"
    yield "entries", f"{JOB} | json"


def target(query, limit):
    return "/loki/api/v1/query_range?" + urllib.parse.urlencode(
        {"query": query, "start": NOW - 10**9, "end": NOW + 10**9 * 60, "step": "1", "limit": limit})


def sending(skald):
    lines = skald.http.get("/metrics")[2].decode().splitlines()
    return next(int(line.split()[1]) for line in lines
                if line.startswith("skald_query_answers_bytes "))


def check_slow_reader(skald):
    """The answer waits for its reader, and is held once."""
    idle = memory_mb(skald.pid, "VmRSS")
    forget_peak(skald.pid)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", skald.port))
        client.sendall(f"GET {target(JOB, ENTRIES)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        held = harness.wait_until("the answer is sent", lambda: sending(skald))
        check(ENTRIES * len(TEXT) < held < BUDGET_MB << 20, f"{held} bytes are held")
        body = b""
        while piece := client.recv(1 << 16):
            body += piece
            if len(body) < 1 << 20:
                time.sleep(0.002)
        check(body.startswith(b"HTTP/1.1 200 "), f"the answer: {body[:300]}")
        equal(body.count(TEXT.encode()), ENTRIES, "entries of the answer")
    harness.wait_until("the answer is let go", lambda: sending(skald) == 0)
    used = memory_mb(skald.pid, "VmHWM") - idle
    check(used < BUDGET_MB + MARGIN_MB, f"a slow reader: {used:.1f} MB above idle")
    return used


def test():
    skald = harness.Skald(config=CONFIG)
    for from_line in range(0, LINES, 5000):
        lines = [(NOW + i * 10**6, f'{{"id": "id-{i}", "n": {i}, "text": "{i}{TEXT}"}}')
                 for i in range(from_line, from_line + 5000)]
        equal(skald.http.push([({"job": "a", "pod": str(from_line)}, lines)])[0], 204, "push")
    equal(skald.http.request("POST", "/flush")[0], 204, "flush")
    equal(skald.http.request("GET", target(JOB, 10))[0], 200, "a harmless query")
    idle = memory_mb(skald.pid, "VmRSS")
    greediest = ("", 0)
    for name, query in hostile():
        forget_peak(skald.pid)
        status, _, body = skald.http.request("GET", target(query, 1000000))
        used = memory_mb(skald.pid, "VmHWM") - idle
        equal((status, body.decode().strip()), (400, REFUSED), name)
        check(used < BUDGET_MB + MARGIN_MB, f"{name}: {used:.1f} MB above idle")
        greediest = max(greediest, (name, used), key=lambda pair: pair[1])
    slow = check_slow_reader(skald)
    kept = memory_mb(skald.pid, "VmRSS") - idle
    check(kept < MARGIN_MB, f"{kept:.1f} MB are kept afterwards")
    print(f"greediest: {greediest[0]}, {greediest[1]:.1f} MB above idle; slow reader {slow:.1f} MB; "
          f"kept {kept:.1f} MB")
    equal(skald.stop(), 0, "exit code")


if __name__ == "__main__":
    harness.run(test)
