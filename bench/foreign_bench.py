#!/usr/bin/env python3
"""Logs that were not in mind when the columns were made: PostgreSQL's jsonlog under pgbench.

usage: foreign_bench.py [--bin DIR] [--work DIR] [--megabytes 200] [--log FILE]

Starts a PostgreSQL of its own (Debian's package `postgresql`, which has pgbench; nothing is
installed here) with every statement and its duration logged, drives it until the log has the size,
stores the log, and compares: bytes on disk after compaction against zstd -9 of 1 MiB blocks of the
raw lines, and every line read back against the one written. --log takes a log that is there
already. As root the database runs as the user postgres.
"""
import argparse
import datetime
import glob
import json
import os
import pwd
import re
import shutil
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(REPO, "tests", "e2e"), os.path.join(REPO, "deploy", "demo"), HERE]
import e2e_bench  # noqa: E402
import harness  # noqa: E402
import push_bodies  # noqa: E402
import venv_setup  # noqa: E402

SETTINGS = {
    "logging_collector": "on", "log_destination": "jsonlog", "log_directory": "log",
    "log_filename": "postgres", "log_rotation_size": "0", "log_rotation_age": "0",
    "log_statement": "all", "log_min_duration_statement": "0", "log_connections": "on",
    "log_timezone": "UTC", "listen_addresses": "''", "fsync": "off",
}
TIME = re.compile(rb'"timestamp":"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{3}) UTC"')
PAGE = 5000
BLOCK = 1 << 20


class Postgres:
    def __init__(self, work):
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
        if not found:
            sys.exit("no PostgreSQL here: install Debian's package postgresql (it has pgbench)")
        self.bin = os.path.dirname(found[-1])
        self.directory = os.path.join(work, "postgres")
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.directory)
        if self.as_user:
            shutil.chown(self.directory, pwd.getpwnam("postgres").pw_uid)
        self.data = os.path.join(self.directory, "data")

    def run(self, program, *arguments):
        subprocess.run(self.as_user + [os.path.join(self.bin, program), *arguments], check=True,
                       cwd=self.directory, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def fill_log(self, bytes_min):
        self.run("initdb", "-D", self.data, "-A", "trust", "-U", "postgres")
        with open(os.path.join(self.data, "postgresql.conf"), "a", encoding="ascii") as f:
            f.writelines(f"{key} = {value}\n" for key, value in SETTINGS.items())
        self.run("pg_ctl", "-D", self.data, "-o", f"-k {self.directory}", "-w", "start")
        log = os.path.join(self.data, "log", "postgres.json")
        here = ["-h", self.directory, "-U", "postgres"]
        try:
            self.run("pgbench", *here, "-i", "-s", "4", "postgres")
            while os.path.getsize(log) < bytes_min:
                self.run("pgbench", *here, "-c", "4", "-T", "5", "postgres")
        finally:
            self.run("pg_ctl", "-D", self.data, "-m", "fast", "stop")
        return log


def zstd_bytes(lines):
    """zstd -9 of blocks of 1 MiB of lines."""
    import cramjam
    total, block = 0, bytearray()
    for line in lines:
        block += line + b"\n"
        if len(block) >= BLOCK:
            total += len(cramjam.zstd.compress(bytes(block), level=9))
            block.clear()
    return total + len(cramjam.zstd.compress(bytes(block), level=9)) if block else total


def timed(lines):
    """(ns, line): the line's own time; one without has that of the line before."""
    last = 0
    for line in lines:
        match = TIME.search(line)
        if match:
            moment = datetime.datetime.fromisoformat(match[1].decode())
            seconds = int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())
            last = seconds * 10**9 + int(match[2]) * 10**6
        yield last, line


def write_bodies(path, rows):
    import cramjam
    with open(path, "wb") as out:
        for first in range(0, len(rows), 2000):
            entries = []
            for ns, line in rows[first:first + 2000]:
                stamp = (b"\x08" + push_bodies.varint(ns // 10**9) + b"\x10" +
                         push_bodies.varint(ns % 10**9))
                entries.append(push_bodies.field(2, push_bodies.field(1, stamp) +
                                                 push_bodies.field(2, line)))
            body = push_bodies.field(1, push_bodies.field(1, b'{job="postgres"}') +
                                     b"".join(entries))
            packed = bytes(cramjam.snappy.compress_raw(body))
            raw = sum(len(line) for _, line in rows[first:first + 2000])
            out.write(struct.pack("<II", len(packed), raw) + packed)


def compare_all(skald, rows):
    """Page by page, in order of time, as the multiset of each page."""
    rows = sorted(rows, key=lambda row: row[0])
    at, end = 0, rows[-1][0] + 1
    while at < len(rows):
        answer = skald.http.json("/loki/api/v1/query_range", query='{job="postgres"}',
                                 start=rows[at][0], end=end, limit=PAGE, direction="forward")
        # The level found in a line makes a stream of its own in the answer, so order within equal
        # times is checked as a set.
        values = sorted((int(ns), line.encode()) for result in answer["data"]["result"]
                        for ns, line in result["values"])
        last = values[-1][0] if values else 0
        if at + len(values) < len(rows):  # the last time may have more than fit on the page
            values = [value for value in values if value[0] != last]
        harness.check(values, f"nothing from row {at} on")
        harness.equal(values, sorted(rows[at:at + len(values)]), f"rows from {at} on")
        at += len(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--work", default=os.path.join(REPO, "build", "bench"))
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--log")
    options = parser.parse_args()
    options.work = os.path.abspath(options.work)
    os.makedirs(options.work, exist_ok=True)
    harness.BIN, harness.WORK = os.path.abspath(options.bin), options.work
    print(f"machine: {e2e_bench.machine()}\ncommand: {' '.join(sys.argv)}", flush=True)
    log = options.log or Postgres(options.work).fill_log(options.megabytes * 10**6)
    with open(log, "rb") as f:
        lines = f.read().splitlines()
    for line in lines[:100]:
        json.loads(line)
    raw = sum(map(len, lines))
    packed = zstd_bytes(lines)
    rows = list(timed(lines))
    bodies = os.path.join(options.work, "bodies-foreign.bin")
    write_bodies(bodies, rows)
    data = os.path.join(options.work, "foreign-data")
    shutil.rmtree(data, ignore_errors=True)
    skald = harness.Skald(data_dir=data, config=e2e_bench.CONFIG, name="foreign")
    try:
        before = harness.cpu_seconds(skald.pid)
        push_bodies.send(bodies, skald.port)
        cpu = harness.cpu_seconds(skald.pid) - before
        harness.Http(skald.port, timeout=600).request("POST", "/flush")
        stored = e2e_bench.disk_bytes(data)
        print(f"raw lines          {raw / 1e6:10.1f} MB, {len(lines)} lines")
        print(f"ingest             {raw / 1e6 / cpu:10.1f} MB/s/core")
        print(f"zstd -9, 1 MiB     {packed / 1e6:10.2f} MB {raw / packed:8.2f} x")
        print(f"disk, compacted    {stored / 1e6:10.2f} MB {raw / stored:8.2f} x")
        print(f"better than zstd   {packed / stored:10.2f} x", flush=True)
        started = time.monotonic()
        compare_all(skald, rows)
        print(f"every byte read back and compared in {time.monotonic() - started:.0f} s")
    finally:
        skald.kill()


if __name__ == "__main__":
    venv_setup.run_again_with(os.path.join(HERE, "requirements.txt"), "bench-venv")
    main()
