#!/usr/bin/env python3
"""What the HTTP side bears: how fast a tail is, what a decompression bomb costs, and whether slow
sockets slow good clients.

usage: abuse_bench.py [--bin DIR] [--lines 2000] [--sockets 5000] [--bombs 8]
                      [--pairs 5] [--seconds 4] [--only tail,bombs,slow]

tail    a WebSocket tail beside one pusher: time from the acknowledgement of a push (204 read) to the
        frame being read; negative when the frame was there first.
bombs   bodies of 1 MB that unfold 32,768 times (zstd, OTLP), gzip bombs (JSON), and snappy blocks
        that claim 4 GB, several at once: growth of the server's peak memory.
slow    connections that send one byte of a request every ten seconds: a good client's queries per second
        beside them, against without them, in alternating rounds.
"""
import argparse
import contextlib
import gzip
import json
import multiprocessing
import os
import resource
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(REPO, "tests", "e2e"))
import harness  # noqa: E402
from websocket import TEXT, WebSocket  # noqa: E402


class Tail(threading.Thread):
    """Remembers when each line came."""

    def __init__(self, port, query):
        super().__init__(daemon=True)
        self.came = {}
        self.socket = WebSocket(port, "/loki/api/v1/tail?query=" + urllib.parse.quote(query))

    def run(self):
        with contextlib.suppress(harness.Failure, OSError):  # the server's end
            while True:
                opcode, payload = self.socket.frame()
                now = time.monotonic()
                if opcode == TEXT:
                    for stream in json.loads(payload)["streams"]:
                        for value in stream["values"]:
                            self.came[value[1]] = now


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def tail(skald, options):
    reader = Tail(skald.port, '{job="tail"}')
    reader.start()
    acked = {}
    for i in range(options.lines):
        status, body = skald.http.push([({"job": "tail"}, [(time.time_ns(), f"line {i}")])])
        acked[f"line {i}"] = time.monotonic()
        harness.check(status == 204, f"push: {status} {body}")
        time.sleep(0.003)
    harness.wait_until("the last line in the tail", lambda: len(reader.came) == len(acked), 30)
    ms = [(reader.came[line] - at) * 1e3 for line, at in acked.items()]
    print(f"tail: {len(ms)} lines; from acknowledgement to frame p50 {quantile(ms, .5):.2f} ms, "
          f"p99 {quantile(ms, .99):.2f} ms, max {max(ms):.2f} ms")


def zstd_bomb(size):
    """Blocks of one repeated byte: four bytes stand for 128 KiB."""
    block = (128 << 10) << 3 | 1 << 1
    frame = b"\x28\xb5\x2f\xfd" + bytes([0x00, 0x58])   # no content size, window of 2 MiB
    count = size // 4
    body = (block.to_bytes(3, "little") + b"\x0a") * (count - 1)
    return frame + body + (block | 1).to_bytes(3, "little") + b"\x0a"


def bombs(skald, options):
    spaces = gzip.compress(b'{"streams":[' + b" " * (1 << 30), 9)
    kinds = [("zstd, OTLP", "/otlp/v1/logs", zstd_bomb(1 << 20),
              {"Content-Type": "application/x-protobuf", "Content-Encoding": "zstd"}),
             ("gzip, JSON", "/loki/api/v1/push", spaces,
              {"Content-Type": "application/json", "Content-Encoding": "gzip"}),
             ("snappy, protobuf", "/loki/api/v1/push", b"\xff\xff\xff\xff\x0f" + b"x" * 1000,
              {"Content-Type": "application/x-protobuf"})]
    for name, path, body, headers in kinds:
        harness.forget_peak(skald.pid)
        before = harness.memory_mb(skald.pid, "VmRSS")
        answers = []

        def send():
            http = harness.Http(skald.port)
            started = time.monotonic()
            try:
                answers.append((http.request("POST", path, body, headers)[0],
                                time.monotonic() - started))
            except OSError:
                answers.append(("closed", time.monotonic() - started))
        for count in (1, options.bombs):
            threads = [threading.Thread(target=send) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            grown = harness.memory_mb(skald.pid, "VmHWM") - before
            print(f"bomb {name}: {len(body) / 1e6:.2f} MB, {count} at once: memory grew by "
                  f"{grown:.0f} MB at its peak; answers {sorted({str(a[0]) for a in answers})}, "
                  f"slowest {max(a[1] for a in answers) * 1e3:.0f} ms")


def queries_per_second(skald, seconds):
    http = harness.Http(skald.port)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        harness.check(http.get("/loki/api/v1/query?query=sum(count_over_time(%7Bjob=%22tail%22%7D"
                               "%5B1h%5D))")[0] == 200, "a query failed")
        count += 1
    return count / seconds


def crowd(port, count, ready, ended):
    """A process of its own, so that the good client's does not pay for it."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    ready.set()
    text, at = b"GET /loki/api/v1/labels HTTP/1.1\r\nHost: x\r\n", 0
    while not ended.wait(0.1):   # each socket every ten seconds
        for one in sockets[at % 100::100]:
            try:
                one.send(text[at // 100 % len(text):at // 100 % len(text) + 1])
            except OSError:
                pass
        at += 1


def slow_sockets(skald, options):
    """Pairs, so that what else the machine does hits both; the server's CPU per query is nearly
    free of it."""
    without, beside, cpu_without, cpu_beside = [], [], [], []

    def measure(rates, costs):
        before = harness.cpu_seconds(skald.pid)
        rates.append(queries_per_second(skald, options.seconds))
        costs.append((harness.cpu_seconds(skald.pid) - before) / (rates[-1] * options.seconds))
    for _ in range(options.pairs):
        measure(without, cpu_without)
        ready, ended = multiprocessing.Event(), multiprocessing.Event()
        process = multiprocessing.Process(target=crowd, args=(skald.port, options.sockets, ready,
                                                              ended))
        process.start()
        ready.wait()
        measure(beside, cpu_beside)
        ended.set()
        process.join()
        time.sleep(1)
    a, b = statistics.median(without), statistics.median(beside)
    ratios = [100 * y / x for x, y in zip(without, beside)]
    cpu = [1e6 * statistics.median(costs) for costs in (cpu_without, cpu_beside)]
    print(f"slow sockets: {options.sockets}; a good client {a:.0f} queries/s without, {b:.0f} beside "
          f"them: {statistics.median(ratios):.0f} % in the median of {len(ratios)} pairs "
          f"({', '.join(f'{r:.0f}' for r in ratios)}); CPU per query {cpu[0]:.0f} and {cpu[1]:.0f} us; "
          f"memory {harness.memory_mb(skald.pid, 'VmRSS'):.0f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--only", default="tail,bombs,slow")
    for name, default in [("lines", 2000), ("sockets", 5000), ("bombs", 8), ("pairs", 5),
                          ("seconds", 4)]:
        parser.add_argument("--" + name, type=int, default=default)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    harness.BIN = os.path.abspath(options.bin)
    harness.WORK = tempfile.mkdtemp(prefix="skald-abuse-")
    try:
        skald = harness.Skald(config="server: {http_listen_address: 127.0.0.1, http_listen_port: "
                                     "0, http_listen_conn_limit: 20000}\n")
        for name, part in (("tail", tail), ("bombs", bombs), ("slow", slow_sockets)):
            if name in options.only.split(","):
                part(skald, options)
        skald.stop()
    finally:
        harness.kill_all()
        shutil.rmtree(harness.WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
