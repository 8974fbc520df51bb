#!/usr/bin/env python3
"""Real structlog writes, real logrotate rotates while it writes (rename and create, and
copytruncate), both the agent and the store are killed with -9 at random. In the end the store has
every line exactly once: count and checksum equal what was written. The seed is printed.

usage: agent_rotation_e2e.py --bin DIR [--rotations 200] [--pause 0.3] [--seed N]
       [--agent-kills 5]  (percent of the rotations)
       [--outage SECONDS] the store is away that long, in real time, after the rotations: files go on
       to rotate every --outage-pause seconds and only the last three are kept, so most of what is
       written meanwhile has no name any more but in the agent's disk queue (skald.spill_dir)
       [--rate 600] lines per second and file
"""
import argparse
import collections
import contextlib
import hashlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time

import structlog

import harness
from harness import check, equal, wait_until

LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Tee:
    """What structlog writes to: a file that is reopened when its name means another one."""

    def __init__(self, path):
        self.path, self.lines = path, []
        self.reopen()

    def reopen(self):
        self.file = open(self.path, "ab", buffering=0)
        self.inode = os.fstat(self.file.fileno()).st_ino

    def write(self, text):
        self.lines.append(text.rstrip("\n"))
        self.file.write(text.encode())

    def flush(self):
        pass

    def watch(self):             # as logging's WatchedFileHandler
        try:
            if os.stat(self.path).st_ino == self.inode:
                return
        except FileNotFoundError:
            return               # between rename and create
        self.file.close()
        self.reopen()


class Writer(threading.Thread):
    def __init__(self, path, seed, stop, truncated, rate):
        super().__init__(daemon=True)
        self.tee, self.random, self.stopping = Tee(path), random.Random(seed), stop
        self.pause = 2 * 6 / rate     # of six lines, half of the time
        # copytruncate itself loses what is written between its copy and its cut: hold still then.
        self.lock = threading.Lock() if truncated else None
        self.log = structlog.wrap_logger(
            structlog.WriteLogger(self.tee),
            processors=[structlog.processors.add_log_level,
                        structlog.processors.TimeStamper(fmt="iso", utc=True),
                        structlog.processors.JSONRenderer()]).bind(file=os.path.basename(path))

    def run(self):
        sequence = 0
        while not self.stopping.is_set():
            if self.lock:
                self.lock.acquire()
            for _ in range(self.random.randrange(1, 12)):
                level = self.random.choice(["info", "info", "debug", "warning", "error"])
                getattr(self.log, level)("step", sequence=sequence,
                                         text="x" * self.random.randrange(60))
                sequence += 1
                if not self.lock and sequence % 5 == 0:
                    self.tee.watch()
            if self.lock:
                self.lock.release()
            time.sleep(self.random.random() * self.pause)


def rotate(config, state):
    done = subprocess.run([LOGROTATE, "-f", "-s", state, config], capture_output=True, text=True)
    check(done.returncode == 0, f"logrotate: {done.stderr[-500:]}")


def resident_mb(process):
    """Now and at most, of a process."""
    return harness.memory_mb(process.pid, "VmRSS"), harness.memory_mb(process.pid, "VmHWM")


class Outage:
    """The store goes away while files rotate and the agent is killed."""

    def __init__(self, seconds, pause, rng):
        self.seconds, self.pause, self.rng = seconds, pause, rng
        self.rotations = self.kills = 0
        self.peak_mb = 0

    def run(self, skald, agent, config, rotate_one):
        """The store and the agent that run afterwards."""
        skald.kill()
        end = time.monotonic() + self.seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self.pause))
            rotate_one(self.rotations)
            self.rotations += 1
            now, peak = resident_mb(agent)
            self.peak_mb = max(self.peak_mb, peak)
            print(f"{int(end - time.monotonic())} s to go, {self.rotations} rotations, agent "
                  f"{now:.1f} MB (peak {peak:.1f})", flush=True)
            if self.rng.random() < 0.2:
                agent.kill()
                self.kills += 1
                time.sleep(self.rng.random())
                agent = harness.Agent(config)
        skald = harness.Skald(port=skald.port)
        return skald, agent


def checksum(lines):
    """Does not depend on order."""
    total = 0
    for line, count in lines.items():
        total += count * int.from_bytes(hashlib.sha256(line.encode()).digest()[:8], "little")
    return total % 2**64


def test():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rotations", type=int, default=200)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--agent-kills", type=float, default=5)
    parser.add_argument("--pause", type=float, default=0.3, help="seconds between rotations")
    parser.add_argument("--outage", type=float, default=0, help="seconds")
    parser.add_argument("--outage-pause", type=float, default=120)
    parser.add_argument("--rate", type=float, default=600)
    options, _ = parser.parse_known_args(sys.argv[1:])
    rng = random.Random(options.seed)
    print(f"seed {options.seed}, {options.rotations} rotations")
    check(LOGROTATE, "logrotate is not installed")
    logs = os.path.join(harness.WORK, "logs")
    os.makedirs(logs, mode=0o755)
    configs = {}
    for name, how in (("create", "create"), ("copy", "copytruncate")):
        configs[name] = os.path.join(harness.WORK, name + ".conf")
        with open(configs[name], "w") as f:
            su = "  su root root\n" if os.geteuid() == 0 else ""
            f.write(f"{logs}/{name}.log {{\n  rotate {3 if options.outage else 12}\n  {how}\n{su}}}\n")
        os.chmod(configs[name], 0o644)
    stop = threading.Event()
    writers = {name: Writer(f"{logs}/{name}.log", rng.random(), stop, name == "copy",
                            options.rate)
               for name in configs}
    skald = harness.Skald()
    config = harness.agent_config(skald.url, logs + "/*.log", labels={"job": "rotation"})
    if options.outage:
        config += f"\nskald:\n  spill_dir: {harness.WORK}/spill\n"
    agent = harness.Agent(config)
    for writer in writers.values():
        writer.start()
    wait_until("the agent has met both files", lambda: agent.output().count("tailing") >= 2)
    kills = collections.Counter()

    def rotate_one(turn):
        name = "create" if turn % 4 else "copy"
        with writers[name].lock or contextlib.nullcontext():
            rotate(configs[name], os.path.join(harness.WORK, "logrotate.state"))

    for turn in range(options.rotations):
        rotate_one(turn)
        dice = rng.random()
        if dice < options.agent_kills / 100:
            agent.kill()
            kills["agent"] += 1
            time.sleep(rng.random() * 0.3)
            agent = harness.Agent(config)
        elif dice > 0.96:
            skald.kill()
            kills["store"] += 1
            time.sleep(rng.random() * 0.5)
            skald = harness.Skald(port=skald.port)
        time.sleep(options.pause * 2 * rng.random())
    if options.outage:
        outage = Outage(options.outage, options.outage_pause, rng)
        skald, agent = outage.run(skald, agent, config, rotate_one)
        print(f"the store was away {options.outage:g} s: {outage.rotations} rotations, "
              f"{outage.kills} kills of the agent, which took at most {outage.peak_mb:.1f} MB")
    stop.set()
    for writer in writers.values():
        writer.join(10)
    want = collections.Counter(line for w in writers.values() for line in w.tee.lines)
    total = sum(want.values())

    def count():
        result = skald.http.json("/loki/api/v1/query",
                                 query='sum(count_over_time({job="rotation"}[12h]))')
        rows = result["data"]["result"]
        return int(float(rows[0]["value"][1])) if rows else 0

    try:
        wait_until(f"{total} lines in the store", lambda: count() >= total, timeout=60)
    except harness.Failure:
        print(f"only {count()} of {total} lines")
    time.sleep(1)                # what is sent twice would come now
    found = collections.Counter(line for _, line, _ in skald.http.entries('{job="rotation"}'))
    lost, double = want - found, found - want
    check(not lost, f"{sum(lost.values())} of {total} lines are lost, {sorted(lost)[:2]}")
    check(not double, f"{sum(double.values())} lines too many, {sorted(double)[:2]}")
    equal(checksum(found), checksum(want), "checksum of the lines")
    equal(agent.stop(), 0, "the agent's exit code")
    equal(skald.stop(), 0, "the store's exit code")
    print(f"{total} lines over {options.rotations} rotations, {kills['agent']} kills of the agent, "
          f"{kills['store']} of the store: each is there once, checksum {checksum(found):016x}")


if __name__ == "__main__":
    harness.run(test)
