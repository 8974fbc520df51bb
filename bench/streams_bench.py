#!/usr/bin/env python3
"""Many streams: memory of ingest, the index's answers, and what a label explosion does.

usage: streams_bench.py [--bin DIR] [--work DIR] [--only ingest,index,explosion]
                        [--lines 1000000 | --corpus DIR] [--ingest-streams 10000]
                        [--index-streams 1000000]
ingest     the corpus' lines dealt out to 10,000 streams: peak memory and MB/s per core
index      a million streams, then labels, label values and series over HTTP: p50 and p99 in ms,
           measured at the client
explosion  a million new streams against the default limits: they are refused, sixteen old streams
           go on, memory stays
"""
import argparse
import glob
import http.client
import os
import shutil
import struct
import sys
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(REPO, "tests", "e2e"), os.path.join(REPO, "deploy", "demo"), HERE]
import e2e_bench  # noqa: E402
import gen_ngx  # noqa: E402
import harness  # noqa: E402
import push_bodies  # noqa: E402
import venv_setup  # noqa: E402

GENEROUS = """
limits_config:
  reject_old_samples: false
  retention_period: 0s
  max_global_streams_per_user: 0
"""
DEFAULTS = """
limits_config:
  retention_period: 0s
"""
BODY_STREAMS = 2000


def row(name, value, unit, note=""):
    print(f"{name:52s} {value:12,.2f} {unit:10s} {note}", flush=True)


def stream(labels, entries):
    """entries: [(ns, line bytes)]"""
    out = [push_bodies.field(1, labels.encode())]
    for ns, line in entries:
        stamp = (b"\x08" + push_bodies.varint(ns // 10**9) + b"\x10" +
                 push_bodies.varint(ns % 10**9))
        out.append(push_bodies.field(2, push_bodies.field(1, stamp) + push_bodies.field(2, line)))
    return push_bodies.field(1, b"".join(out))


class Bench:
    def __init__(self, options):
        import cramjam
        self.options = options
        self.snappy = lambda body: bytes(cramjam.snappy.compress_raw(body))

    def start(self, name, config):
        self.data = os.path.join(self.options.work, f"streams-{name}")
        shutil.rmtree(self.data, ignore_errors=True)
        return harness.Skald(data_dir=self.data, config=config, name=name)

    def write_bodies(self, path, bodies):
        """Bodies ((protobuf, raw bytes) each) as push_bodies.send() reads them."""
        with open(path, "wb") as out:
            for body, raw in bodies:
                packed = self.snappy(body)
                out.write(struct.pack("<II", len(packed), raw) + packed)

    def dealt_out(self, files):
        """The corpus' lines, a body of about 1 MB at a time, each line to the next stream."""
        turn, start_ns = 0, time.time_ns()
        for path in files:
            with open(path, "rb", buffering=1 << 20) as f:
                while lines := f.readlines(push_bodies.BODY_RAW_BYTES):
                    by_stream, raw = {}, 0
                    for line in lines:
                        line = line.rstrip(b"\n")
                        raw += len(line)
                        turn += 1
                        by_stream.setdefault(turn // 8 % self.options.ingest_streams, []).append(
                            (start_ns + turn * 1000, line))
                    yield b"".join(stream(f'{{job="many", host="host-{n}"}}', entries)
                                   for n, entries in by_stream.items()), raw

    def ingest(self):
        corpus = self.options.corpus or os.path.join(self.options.work,
                                                     f"corpus-{self.options.lines}-1")
        if not glob.glob(corpus + "/pod-*.log"):
            gen_ngx.generate(self.options.lines, corpus, seed=1)
        path = os.path.join(self.options.work, "bodies-dealt-out.bin")
        self.write_bodies(path, self.dealt_out(sorted(glob.glob(corpus + "/pod-*.log"))))
        skald = self.start("ingest", GENEROUS)
        before = harness.cpu_seconds(skald.pid)
        raw, _ = push_bodies.send(path, skald.port)
        cpu = harness.cpu_seconds(skald.pid) - before
        os.remove(path)
        row(f"ingest into {self.options.ingest_streams} streams", raw / 1e6 / cpu, "MB/s/core",
            f"{raw / 1e6:.0f} MB")
        row("  peak memory", harness.memory_mb(skald.pid, "VmHWM"), "MB")
        for path in ("/flush", "/skald/v1/compact"):
            harness.Http(skald.port, timeout=600).request("POST", path)
        row("  peak memory with compaction", harness.memory_mb(skald.pid, "VmHWM"), "MB")
        row("  disk, compacted", e2e_bench.disk_bytes(self.data) / 1e6, "MB")
        skald.stop()

    def new_streams(self, count):
        now_ns = time.time_ns()
        for first in range(0, count, BODY_STREAMS):
            yield b"".join(
                stream(f'{{app="app-{n % 100}", host="host-{n % 10000}", instance="i-{n}"}}',
                       [(now_ns + n, b'{"event": "start", "n": %d}' % n)])
                for n in range(first, min(count, first + BODY_STREAMS))), 30 * BODY_STREAMS

    def index(self):
        path = os.path.join(self.options.work, "bodies-new-streams.bin")
        self.write_bodies(path, self.new_streams(self.options.index_streams))
        skald = self.start("index", GENEROUS)
        before = harness.cpu_seconds(skald.pid)
        _, wall = push_bodies.send(path, skald.port)
        os.remove(path)
        row(f"{self.options.index_streams} new streams, one entry each", wall, "s wall",
            f"{harness.cpu_seconds(skald.pid) - before:.1f} s CPU")
        row("  memory", harness.memory_mb(skald.pid, "VmRSS"), "MB")
        harness.equal(len(self.series(skald, '{instance="i-7"}')), 1, "series of one instance")
        self.latencies(skald, "some still in the head")
        harness.Http(skald.port, timeout=600).request("POST", "/flush")
        self.latencies(skald, "all in parts")
        skald.kill()
        started = time.monotonic()
        skald = harness.Skald(data_dir=self.data, config=GENEROUS, name="index-again")
        row("  restart after kill -9: ready in", (time.monotonic() - started) * 1e3, "ms")
        skald.stop()

    @staticmethod
    def series(skald, selector):
        return skald.http.json("/loki/api/v1/series", **{"match[]": selector})["data"]

    def latencies(self, skald, when):
        print(f"  {when}:", flush=True)
        count = self.options.index_streams
        turn = iter(range(10**9))
        quote = urllib.parse.quote
        questions = {
            "labels": lambda: "/loki/api/v1/labels",
            "values of app": lambda: "/loki/api/v1/label/app/values",
            "values of app of one host": lambda: "/loki/api/v1/label/app/values?query=" +
            quote(f'{{host="host-{next(turn) % 10000}"}}'),
            "series of one instance": lambda: "/loki/api/v1/series?match[]=" +
            quote(f'{{instance="i-{next(turn) * 7919 % count}"}}'),
            "series of one host": lambda: "/loki/api/v1/series?match[]=" +
            quote(f'{{host="host-{next(turn) % 10000}"}}'),
        }
        connection = http.client.HTTPConnection("127.0.0.1", skald.port, timeout=60)
        for name, path in questions.items():
            times = []
            for _ in range(1000):
                question = path()
                started = time.monotonic()
                connection.request("GET", question)
                response = connection.getresponse()
                body = response.read()
                times.append((time.monotonic() - started) * 1e3)
                harness.equal(response.status, 200, body[:200])
            times.sort()
            row(f"    {name}", times[989], "ms p99", f"p50 {times[499]:.2f}, max {times[-1]:.2f}")

    def explosion(self):
        skald = self.start("explosion", DEFAULTS)
        connection = http.client.HTTPConnection("127.0.0.1", skald.port, timeout=60)

        def push(body):
            connection.request("POST", "/loki/api/v1/push", self.snappy(body),
                               {"Content-Type": "application/x-protobuf"})
            response = connection.getresponse()
            response.read()
            return response.status

        old = lambda turn: b"".join(
            stream(f'{{job="old", pod="pod-{n}"}}', [(time.time_ns(), b"line %d" % turn)])
            for n in range(16))
        harness.equal(push(old(0)), 204, "old streams before")
        started, refused, times, turns = time.monotonic(), 0, [], 1
        for body, _ in self.new_streams(self.options.index_streams):
            refused += push(body) == 429
            asked = time.monotonic()
            harness.equal(push(old(turns)), 204, "old streams during the explosion")
            times.append((time.monotonic() - asked) * 1e3)
            turns += 1
        times.sort()
        row(f"{self.options.index_streams} new streams, default limits",
            time.monotonic() - started, "s wall", f"{refused} of {turns - 1} bodies got 429")
        row("  peak memory", harness.memory_mb(skald.pid, "VmHWM"), "MB")
        row("  push of 16 old streams meanwhile", times[len(times) * 99 // 100], "ms p99",
            f"p50 {times[len(times) // 2]:.1f}")
        count = skald.http.json("/loki/api/v1/query",
                                query='sum(count_over_time({job="old"}[1h]))')
        harness.equal(count["data"]["result"][0]["value"][1], str(16 * turns), "lines of old streams")
        skald.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--work", default=os.path.join(REPO, "build", "bench"))
    parser.add_argument("--only", default="ingest,index,explosion")
    parser.add_argument("--lines", type=int, default=1000000)
    parser.add_argument("--corpus")
    parser.add_argument("--ingest-streams", type=int, default=10000)
    parser.add_argument("--index-streams", type=int, default=1000000)
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    harness.BIN, harness.WORK = os.path.abspath(options.bin), options.work
    print(f"machine: {e2e_bench.machine()}\ncommand: {' '.join(sys.argv)}", flush=True)
    bench = Bench(options)
    try:
        for part in options.only.split(","):
            getattr(bench, part)()
    finally:
        harness.kill_all()


if __name__ == "__main__":
    venv_setup.run_again_with(os.path.join(HERE, "requirements.txt"), "bench-venv")
    main()
