#!/usr/bin/env python3
"""Real structlog writes, real logrotate rotates while it writes (rename and create, and
copytruncate), both the agent and the store are killed with -9 at random. In the end the store has
every line exactly once: count and checksum equal what was written. The seed is printed.

usage: agent_rotation_e2e.py --bin DIR [--rotations 200] [--pause 0.3] [--seed N]
       [--agent-kills 5]  (percent of the rotations)
"""
import argparse
import collections
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
    def __init__(self, path, seed, stop, truncated):
        super().__init__(daemon=True)
        self.tee, self.random, self.stopping = Tee(path), random.Random(seed), stop
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
            time.sleep(self.random.random() * 0.02)


def rotate(config, state):
    done = subprocess.run([LOGROTATE, "-f", "-s", state, config], capture_output=True, text=True)
    check(done.returncode == 0, f"logrotate: {done.stderr[-500:]}")


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
            f.write(f"{logs}/{name}.log {{\n  rotate 12\n  {how}\n  su root root\n}}\n"
                    if os.geteuid() == 0 else
                    f"{logs}/{name}.log {{\n  rotate 12\n  {how}\n}}\n")
        os.chmod(configs[name], 0o644)
    stop = threading.Event()
    writers = {name: Writer(f"{logs}/{name}.log", rng.random(), stop, name == "copy")
               for name in configs}
    skald = harness.Skald()
    config = harness.agent_config(skald.url, logs + "/*.log", labels={"job": "rotation"})
    agent = harness.Agent(config)
    for writer in writers.values():
        writer.start()
    wait_until("the agent has met both files", lambda: agent.output().count("tailing") >= 2)
    kills = collections.Counter()
    for turn in range(options.rotations):
        name = "create" if turn % 4 else "copy"
        lock = writers[name].lock
        if lock:
            lock.acquire()
        rotate(configs[name], os.path.join(harness.WORK, "logrotate.state"))
        if lock:
            lock.release()
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
