#!/usr/bin/env python3
"""Kill -9 at random moments under load. Store: pushers of two tenants and two days retry until
acknowledged, into a head so small that it is sealed all the time; whatever was acknowledged is there
exactly once, and what was not at most once. Agent: it tails growing files; in the end each line is
there exactly once. The seed is printed; pass it back to repeat a run.

usage: kill9_e2e.py --bin DIR [--kills 50] [--seed N]
"""
import argparse
import collections
import os
import random
import sys
import threading
import time

import harness
from harness import check, equal, wait_until

BATCH = 40
BASE_NS = 1_700_000_000 * 10**9
DAY_NS = 86_400 * 10**9
TENANTS = ("one", "two")
CONFIG = """
auth_enabled: true
storage:
  head_bytes_max: 32KB
limits_config:
  reject_old_samples: false
  retention_period: 0s
  max_query_length: 0s
"""


class Pusher(threading.Thread):
    """Pushes batches of unique lines; repeats a batch until it is acknowledged."""

    def __init__(self, number, port, stop):
        super().__init__(daemon=True)
        self.number, self.port, self.stopping = number, port, stop
        self.tenant = {"X-Scope-OrgID": TENANTS[number % len(TENANTS)]}
        self.acknowledged, self.sent, self.refused = set(), set(), []

    def run(self):
        http = harness.Http(self.port, timeout=10, headers=self.tenant)
        sequence = 0
        while not self.stopping.is_set():
            lines = [(BASE_NS + i % 2 * DAY_NS + (sequence + i) * 1000 + self.number,
                      f'{{"pusher": {self.number}, "sequence": {sequence + i}, "pad": "{"x" * 40}"}}')
                     for i in range(BATCH)]
            sequence += BATCH
            self.sent.update(line for _, line in lines)
            streams = [({"job": "kill9", "pusher": str(self.number), "half": str(h)}, lines[h::2])
                       for h in (0, 1)]
            while not self.stopping.is_set():
                try:
                    status, body = http.push(streams)
                except OSError:
                    time.sleep(0.005)
                    continue
                if status == 204:
                    self.acknowledged.update(line for _, line in lines)
                    break
                if status < 500 and status != 429:
                    self.refused.append((status, body[:200]))
                    return
                time.sleep(0.005)


def kill_store(rng, kills):
    skald = harness.Skald(config=CONFIG)
    stop = threading.Event()
    pushers = [Pusher(n, skald.port, stop) for n in range(3)]
    for pusher in pushers:
        pusher.start()
    for _ in range(kills):
        moment = rng.random() * 0.25
        for path in ("/flush", "/skald/v1/compact"):   # die while it does that, too
            if rng.random() < 0.4:
                threading.Thread(target=post_quietly, args=(skald.port, path), daemon=True).start()
        time.sleep(moment)
        skald.kill()
        if rng.random() < 0.3:   # and while it starts
            skald = harness.Skald(config=CONFIG, port=skald.port, wait=False)
            time.sleep(rng.random() * 0.05)
            skald.kill()
        skald = harness.Skald(config=CONFIG, port=skald.port)
    time.sleep(0.2)
    stop.set()
    for pusher in pushers:
        pusher.join(20)
    check_store(skald, pushers)
    equal(skald.stop(), 0, "the store's exit code")


def post_quietly(port, path):
    try:
        harness.Http(port, timeout=10).request("POST", path)
    except OSError:
        pass


def check_store(skald, pushers):
    for pusher in pushers:
        check(not pusher.refused, f"a good push was refused: {pusher.refused[:1]}")
        found = collections.Counter(
            line for _, line, _ in
            harness.Http(skald.port, headers=pusher.tenant).entries(
                f'{{job="kill9",pusher="{pusher.number}"}}', start=BASE_NS - 1))
        lost = pusher.acknowledged - set(found)
        check(not lost, f"{len(lost)} acknowledged lines are lost, {sorted(lost)[:2]}")
        double = [line for line, count in found.items() if count != 1]
        check(not double, f"{len(double)} lines are there more than once, {double[:2]}")
        invented = set(found) - pusher.sent
        check(not invented, f"{len(invented)} lines nobody sent, {sorted(invented)[:2]}")
        check(pusher.acknowledged, "nothing was acknowledged at all")
    print(f"store: {sum(len(p.acknowledged) for p in pushers)} acknowledged lines, all once")


class Writer(threading.Thread):
    """Appends unique lines to a file, at times half a line first."""

    def __init__(self, path, stop):
        super().__init__(daemon=True)
        self.path, self.stopping, self.lines = path, stop, []

    def run(self):
        rng = random.Random(self.path)
        with open(self.path, "ab", buffering=0) as f:
            sequence = 0
            while not self.stopping.is_set():
                line = f'{{"level": "info", "file": "{self.path}", "sequence": {sequence}}}'
                cut = rng.randrange(len(line)) if rng.random() < 0.05 else 0
                f.write(line[:cut].encode())
                if cut:
                    time.sleep(0.002)
                f.write(line[cut:].encode() + b"\n")
                self.lines.append(line)
                sequence += 1
                time.sleep(0.0005)


def kill_agent(rng, kills):
    data = os.path.join(harness.WORK, "agent-data")
    logs = os.path.join(harness.WORK, "logs")
    os.makedirs(logs)
    skald = harness.Skald(data_dir=data, name="skald-agents")
    stop = threading.Event()
    writers = [Writer(os.path.join(logs, f"pod-{n}.log"), stop) for n in range(2)]
    for writer in writers:
        writer.start()
    config = harness.agent_config(skald.url, logs + "/*.log", labels={"job": "kill9-agent"})
    for turn in range(kills):
        agent = harness.Agent(config)
        time.sleep(0.05 + rng.random() * 0.5)
        agent.kill()
        if turn % 5 == 4:        # both die, the store comes back first
            skald.kill()
            skald = harness.Skald(data_dir=data, name="skald-agents", port=skald.port)
    stop.set()
    for writer in writers:
        writer.join(10)
    agent = harness.Agent(config)
    want = collections.Counter(line for w in writers for line in w.lines)
    total = sum(want.values())
    count = lambda: int(float((skald.http.json(
        "/loki/api/v1/query", query='sum(count_over_time({job="kill9-agent"}[1h]))')
        ["data"]["result"] or [{"value": [0, "0"]}])[0]["value"][1]))
    wait_until(f"{total} lines stored", lambda: count() >= total, timeout=60)
    time.sleep(1)                # anything sent twice would come now
    found = collections.Counter(
        line for _, line, _ in skald.http.entries('{job="kill9-agent"}'))
    lost, double = want - found, found - want
    check(not lost, f"{sum(lost.values())} of {total} lines are lost, {sorted(lost)[:2]}")
    check(not double, f"{sum(double.values())} lines too many, {sorted(double)[:2]}")
    equal(agent.stop(), 0, "the agent's exit code")
    equal(skald.stop(), 0, "the store's exit code")
    print(f"agent: {total} lines, all once")


def test():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--agent-kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options, _ = parser.parse_known_args(sys.argv[1:])
    print("seed", options.seed, flush=True)
    rng = random.Random(options.seed)
    kill_store(rng, options.kills)
    kill_agent(rng, options.agent_kills)


if __name__ == "__main__":
    harness.run(test)
