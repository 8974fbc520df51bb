#!/usr/bin/env python3
"""Queries made to use memory, against a budget of 32 MiB: each is refused in words that name the
budget and say what to do, or answered; resident memory stays within idle, budget and a margin, and
goes back afterwards. An answer whose client reads slowly is counted and holds no more than it has.
Log answers several times the budget are made as they are sent: whole, within the same memory; a
client that leaves takes its answer along, and a server that stops cuts it.
Then many at once, against 64 MiB for all: some are refused in words that name the setting, small
ones are answered meanwhile, and what is held goes back.
"""
import contextlib
import http.client
import json
import re
import socket
import threading
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
server:
  graceful_shutdown_timeout: 1s
limits_config:
  max_entries_limit_per_query: 1000000
"""
REFUSED = (f"the query needs more than its {BUDGET_MB} MiB of memory; select fewer streams, a "
           "shorter range, a larger step or fewer groups")
TOTAL_MB, CLIENTS = 64, 8
ALL_MARGIN_MB = 96  # a batch of lines, or an allocation under way, in each worker of so many queries
CONFIG_OF_ALL = CONFIG.replace(
    "querier:", f"querier:\n  max_concurrent: {CLIENTS + 2}\n  workers_per_query: 2\n"
    f"  total_memory_max: {TOTAL_MB}MB")
REFUSED_OF_ALL = (f"all queries together need more than the {TOTAL_MB} MiB of "
                  "querier.total_memory_max; try again when others are done, or select less")
SMALL = f'sum(count_over_time({JOB} |= "id-777" [1h]))'
# An answer of some megabytes that waits for its reader: more than sockets take in.
LARGE = 'sum by (id) (count_over_time({job="a", pod=~"0|5000"} | json id [1h]))'
LINES, ENTRIES, TEXT = 20000, 15000, "x" * 300


def hostile():
    series = f"sum by (id, n, text) (count_over_time({JOB} | json [1h]))"
    formats = ",".join(f'l{i}=`{{{{ repeat 4000000 "x" }}}}`' for i in range(20))
    yield "many series", series
    yield "both sides", f"{series} and {series}"
    yield "every value", f"quantile_over_time(0.5, {JOB} | json | unwrap n [1h]) by (id, text)"
    yield "what templates make", f'sum(count_over_time({JOB} | label_format {formats} | l1!="" [1h]))'


def target(query, limit):
    return "/loki/api/v1/query_range?" + urllib.parse.urlencode(
        {"query": query, "start": NOW - 10**9, "end": NOW + 10**9 * 60, "step": "1", "limit": limit})


def metric(skald, name):
    lines = skald.http.get("/metrics")[2].decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + " "))


def sending(skald):
    return metric(skald, "skald_query_answers_bytes")


def ask_slowly(skald, query, limit):
    """A client that has asked, and takes little at a time."""
    client = socket.socket()
    client.settimeout(60)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", skald.port))
    client.sendall(f"GET {target(query, limit)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return client


def check_slow_reader(skald):
    """The answer waits for its reader, and is held in part."""
    idle = memory_mb(skald.pid, "VmRSS")
    forget_peak(skald.pid)
    with ask_slowly(skald, JOB, ENTRIES) as client:
        held = harness.wait_until("the answer is sent", lambda: sending(skald))
        check(held < ENTRIES * len(TEXT) / 4, f"{held} bytes are held")
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


def ask_large(skald, number, stack):
    """A client that reads no more than the status: the answer is held as long as it is open."""
    client = stack.enter_context(socket.socket())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.connect(("127.0.0.1", skald.port))
    # The limit tells the queries apart: equal ones would run once for all.
    client.sendall(f"GET {target(LARGE, number + 1)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                   "Cache-Control: no-cache\r\n\r\n".encode())
    head = b""
    while b"\r\n" not in head:
        head += client.recv(64)
    status = int(head.split()[1])
    if status != 200:
        while piece := client.recv(4096):
            head += piece
        check(head.decode().endswith(REFUSED_OF_ALL), f"refused: {head}")
        check(re.search(rb"(?i)\r\nretry-after: 1\r\n", head), f"refused: {head}")
    return status


def check_held_answers(skald):
    """Answers that nobody reads fill the memory of all; then large queries are refused."""
    with contextlib.ExitStack() as stack:
        statuses = [ask_large(skald, number, stack) for number in range(CLIENTS)]
        equal(set(statuses), {200, 429}, f"statuses of {statuses}")
        held = metric(skald, "skald_queries_memory_bytes")
        check(TOTAL_MB << 18 < held <= TOTAL_MB << 20, f"{held} bytes are held")
        equal(metric(skald, "skald_queries_memory_refused_total"), statuses.count(429), "refused")
        equal(skald.http.request("GET", target(SMALL, 10))[0], 200, "a small query beside them")
    harness.wait_until("the answers are let go",
                       lambda: metric(skald, "skald_queries_memory_bytes") == 0)
    equal(skald.http.request("GET", target(LARGE, 100))[0], 200, "a large query afterwards")


def check_greedy_at_once(skald):
    answers, queries = [], list(hostile())

    def ask(number):
        name, query = queries[number % len(queries)]
        status, _, body = harness.Http(skald.port, timeout=120).request(
            "GET", target(query, 900000 + number))
        answers.append((name, status, body.decode().strip()))
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        equal(skald.http.request("GET", target(SMALL, 10))[0], 200, "a small query beside them")
        held = metric(skald, "skald_queries_memory_bytes")
        check(held <= TOTAL_MB << 20, f"{held} bytes are held")
    for thread in threads:
        thread.join()
    equal(len(answers), CLIENTS, "answers")
    for name, status, body in answers:
        check((status, body) in ((400, REFUSED), (429, REFUSED_OF_ALL)), f"{name}: {status} {body[:300]}")


def check_together():
    skald = harness.Skald(config=CONFIG_OF_ALL, name="together")
    equal(skald.http.request("GET", target(SMALL, 10))[0], 200, "a harmless query")
    idle = memory_mb(skald.pid, "VmRSS")
    for check_many in (check_held_answers, check_greedy_at_once):
        forget_peak(skald.pid)
        check_many(skald)
        used = memory_mb(skald.pid, "VmHWM") - idle
        check(used < TOTAL_MB + ALL_MARGIN_MB, f"{check_many.__name__}: {used:.1f} MB above idle")
        print(f"{check_many.__name__}: {used:.1f} MB above idle")
    equal(skald.stop(), 0, "exit code")


def check_large_answers(skald, idle):
    """Every entry once, in streams of their labels, and no more memory than the budget."""
    greediest = 0
    for query, entry_bytes in ((f"{JOB} | json", 2 * len(TEXT)),
                               (f'{JOB} | line_format `{{{{ repeat 5000 "x" }}}}{{{{ __line__ }}}}`', 5000)):
        forget_peak(skald.pid)
        status, _, body = skald.http.request("GET", target(query, 1000000))
        equal(status, 200, query)
        check(len(body) > LINES * entry_bytes, f"{query}: {len(body)} bytes")
        result = json.loads(body)["data"]["result"]
        times = [int(value[0]) for stream in result for value in stream["values"]]
        equal(sorted(times), [NOW + i * 10**6 for i in range(LINES)], f"times of {query}")
        used = memory_mb(skald.pid, "VmHWM") - idle
        check(used < BUDGET_MB + MARGIN_MB, f"{query}: {used:.1f} MB above idle")
        greediest = max(greediest, used)
    equal(metric(skald, "skald_query_answers_cut_total"), 0, "answers cut")
    return greediest


def check_client_leaves(skald):
    before = metric(skald, "skald_query_answers_in_pieces_total")
    with ask_slowly(skald, f"{JOB} | json", 1000000) as client:
        check(client.recv(4096).startswith(b"HTTP/1.1 200 "), "the answer begins")
        check(sending(skald) > 0, "the answer is counted")
    harness.wait_until("the answer goes with its client", lambda: sending(skald) == 0)
    equal(metric(skald, "skald_query_answers_in_pieces_total"), before + 1, "answers in pieces")


def check_stop_cuts(skald):
    """A server that stops does not wait for ever, and the client sees that something is missing."""
    with ask_slowly(skald, f"{JOB} | json", 1000000) as client:
        answer = http.client.HTTPResponse(client)
        answer.begin()
        equal(answer.status, 200, "the answer begins")
        equal(skald.stop(), 0, "exit code")
        try:
            body = answer.read()
        except (http.client.IncompleteRead, ConnectionError):
            return
    check(False, f"{len(body)} bytes came as if they were all")


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
    large = check_large_answers(skald, idle)
    check_client_leaves(skald)
    slow = check_slow_reader(skald)
    kept = memory_mb(skald.pid, "VmRSS") - idle
    check(kept < MARGIN_MB, f"{kept:.1f} MB are kept afterwards")
    print(f"greediest: {greediest[0]}, {greediest[1]:.1f} MB above idle; large answers {large:.1f} MB; "
          f"slow reader {slow:.1f} MB; kept {kept:.1f} MB")
    check_stop_cuts(skald)
    check_together()


if __name__ == "__main__":
    harness.run(test)
