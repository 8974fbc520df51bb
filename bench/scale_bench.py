#!/usr/bin/env python3
"""A large store: restart after kill -9, and needles at the first query after a start.

usage: scale_bench.py [--bin DIR] [--work DIR] [--corpus DIR] [--lines 30000000]
                      [--copied-to 0] [--keep]
The corpus (bench/gen_ngx.py 4000000) is pushed over HTTP once per day that --lines needs: dates
are a day apart, and the hex digits of every conversation and request id are exchanged by a
permutation of that day, so no day has another's ids. 30,000,000 lines are 10 GB.
--copied-to N: afterwards the merged part files are copied under other names until the store has N
lines (a quick way to 100,000,000); the printed line says how many were pushed and how many copied.
Times are at the client; CPU is the server's. The page cache is as the run leaves it.
"""
import argparse
import datetime
import glob
import http.client
import multiprocessing
import os
import random
import re
import shutil
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

CONFIG = e2e_bench.CONFIG + "\nstorage:\n  disk_bytes_max: 200GB\n"
IDS = re.compile(rb'(?<="conversation_id": ")[0-9a-f-]{36}|(?<=/conversations/)[0-9a-f-]{36}|'
                 rb'(?<="request_id": ")[0-9a-f]{16}')
JOB = '{job="ngx-api"}'
FIRST_DATE = b"2026-11-20"
HEX = b"0123456789abcdef"
CORPUS_LINES = 4_000_000


def row(name, value, unit, note=""):
    print(f"{name:52s} {value:12,.2f} {unit:10s} {note}", flush=True)


def permutation(day):
    """Of the hex digits; day 0 leaves them."""
    digits = list(HEX)
    if day > 0:
        random.Random(day).shuffle(digits)
    return bytes.maketrans(HEX, bytes(digits))


def push_pods(port, files, days, lines_max, totals):
    """One sender: its files, a body of each in turn, day by day."""
    sent, lines_sent = 0, 0
    encoder = push_bodies.Encoder("ngx-api")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    for day in range(days):
        table = permutation(day)
        # The last day is the corpus' own, so that none lies in the future.
        date = (datetime.date.fromisoformat(FIRST_DATE.decode()) -
                datetime.timedelta(days - 1 - day)).isoformat().encode()
        live = [(os.path.basename(path)[:-4], open(path, "rb", buffering=1 << 20))
                for path in files]
        while live and lines_sent < lines_max:
            for source in list(live):
                pod, f = source
                text = b"".join(f.readlines(push_bodies.BODY_RAW_BYTES))
                if not text:
                    live.remove(source)
                    continue
                if day > 0:
                    text = IDS.sub(lambda m: m[0].translate(table), text)
                text = text.replace(b'"timestamp": "' + FIRST_DATE, b'"timestamp": "' + date)
                lines = text.splitlines()
                connection.request("POST", "/loki/api/v1/push", encoder.body(pod, lines),
                                   {"Content-Type": "application/x-protobuf"})
                response = connection.getresponse()
                body = response.read()
                harness.equal(response.status, 204, body[:200])
                sent += len(text) - len(lines)
                lines_sent += len(lines)
    with totals.get_lock():
        totals[0] += sent
        totals[1] += lines_sent


class Bench:
    def __init__(self, options):
        self.options = options
        self.corpus = options.corpus or os.path.join(options.work, f"corpus-{CORPUS_LINES}-1")
        if not glob.glob(self.corpus + "/pod-*.log"):
            print("generating the corpus ...", flush=True)
            gen_ngx.generate(CORPUS_LINES, self.corpus, seed=1)
        self.days = -(-options.lines // CORPUS_LINES)
        self.data = os.path.join(options.work, "scale")

    def start(self):
        started = time.monotonic()
        self.skald = harness.Skald(data_dir=self.data, config=CONFIG, name="scale")
        return (time.monotonic() - started) * 1e3

    def post(self, path):
        started = time.monotonic()
        harness.Http(self.skald.port, timeout=7200).request("POST", path)
        return time.monotonic() - started

    def ingest(self):
        shutil.rmtree(self.data, ignore_errors=True)
        self.start()
        files = sorted(glob.glob(self.corpus + "/pod-*.log"))
        totals = multiprocessing.Array("Q", 2)
        started, before = time.monotonic(), harness.cpu_seconds(self.skald.pid)
        senders = [multiprocessing.Process(target=push_pods, args=(
            self.skald.port, files[k::2], self.days, self.options.lines // 2, totals))
            for k in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
            harness.equal(sender.exitcode, 0, "sender")
        self.pushed = totals[1]
        cpu = harness.cpu_seconds(self.skald.pid) - before
        row(f"pushed {totals[1]:,} lines", totals[0] / 1e9, "GB",
            f"{time.monotonic() - started:.0f} s wall, {totals[0] / 1e6 / cpu:.0f} MB/s per core "
            f"with seals and merges, peak {harness.memory_mb(self.skald.pid, 'VmHWM'):.0f} MB")

    def restarts(self, when):
        times = []
        for _ in range(5):
            self.skald.kill()
            times.append(self.start())
        times.sort()
        row(f"restart after kill -9: ready in ({when})", times[2], "ms",
            f"median of 5, worst {times[-1]:.0f}")

    def parts(self):
        return glob.glob(os.path.join(self.data, "tenants", "*", "parts", "*.part"))

    def compact(self):
        self.post("/flush")
        wall = self.post("/skald/v1/compact")
        row("compacted", e2e_bench.disk_bytes(self.data) / 1e9, "GB",
            f"{wall:.0f} s wall, {len(self.parts())} parts")

    def copy_parts(self):
        lines, originals = self.pushed, self.parts()
        self.skald.kill()
        last = max(int(os.path.basename(path).split("_")[2], 16) for path in originals)
        turn = 0
        while lines < self.options.copied_to:
            turn += 1
            for path in originals:
                directory, name = os.path.split(path)
                day, first, end, level = name.split("_")
                shutil.copyfile(path, os.path.join(
                    directory, f"{day}_{int(first, 16) + turn * last:016x}_"
                    f"{int(end, 16) + turn * last:016x}_{level}"))
            lines += self.pushed
        self.start()
        row(f"{lines:,} lines", e2e_bench.disk_bytes(self.data) / 1e9, "GB",
            f"{self.pushed:,} pushed, the others copies of part files: {len(self.parts())} parts")

    def needles(self):
        with open(os.path.join(self.corpus, "pod-0.log"), "rb") as f:
            text = f.read(4 << 20)
        uuid = re.findall(rb'"conversation_id": "([0-9a-f-]{36})"', text)[-1]
        last_day = uuid.translate(permutation(self.days - 1)).decode()
        for name, needle in [("absent uuid", e2e_bench.ABSENT_ID),
                             ("absent text", "zzq no such text"),
                             ("absent word", "ml_absent_word"),
                             ("absent request id", "00ab00dead4eefad"),
                             ("uuid of one conversation", last_day)]:
            self.needle(name, f'sum(count_over_time({JOB} |= "{needle}" [60d]))')

    def needle(self, name, expression):
        path = "/loki/api/v1/query?" + urllib.parse.urlencode(
            {"query": expression, "time": "2026-11-21T00:00:00Z"})
        self.skald.kill()
        self.start()
        idle = harness.memory_mb(self.skald.pid, "VmRSS")
        clock = (~self.skald.pid << 3) | 2  # its CPU time, in nanoseconds
        connection = http.client.HTTPConnection("127.0.0.1", self.skald.port, timeout=600)
        walls, cpus = [], []
        for _ in range(12):
            cpu, wall = time.clock_gettime(clock), time.monotonic()
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            walls.append((time.monotonic() - wall) * 1e3)
            cpus.append((time.clock_gettime(clock) - cpu) * 1e3)
            harness.equal(response.status, 200, body[:200])
        found = re.findall(rb'"value":\[[^,]*,"(\d+)"', body)
        peak = harness.memory_mb(self.skald.pid, "VmHWM")
        row(f"{name}: first after a start", walls[0], "ms",
            f"CPU {cpus[0]:.1f}; then {sorted(walls[1:])[5]:.1f}, CPU {sorted(cpus[1:])[5]:.1f}; "
            f"found {found[0].decode() if found else 0}; "
            f"memory at most {peak - idle:+.1f} MB above idle ({idle:.0f})")

    def run(self):
        self.ingest()
        self.restarts("as pushed")
        self.compact()
        if self.options.copied_to > self.pushed:
            self.copy_parts()
        self.restarts("merged")
        self.needles()
        self.skald.stop()
        if not self.options.keep:
            shutil.rmtree(self.data)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--work", default=os.path.join(REPO, "build", "bench"))
    parser.add_argument("--corpus")
    parser.add_argument("--lines", type=int, default=30_000_000)
    parser.add_argument("--copied-to", type=int, default=0)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    harness.BIN, harness.WORK = os.path.abspath(options.bin), options.work
    print(f"machine: {e2e_bench.machine()}\ncommand: {' '.join(sys.argv)}", flush=True)
    try:
        Bench(options).run()
    finally:
        harness.kill_all()


if __name__ == "__main__":
    venv_setup.run_again_with(os.path.join(HERE, "requirements.txt"), "bench-venv")
    main()
