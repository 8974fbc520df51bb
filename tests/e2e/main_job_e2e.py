#!/usr/bin/env python3
"""The main job: a structlog program writes files, the agent ships them while they grow, the store
answers LogQL over HTTP exactly as a naive scan of the files; also after a stop, and after kill -9.
"""
import glob
import os
import sys

import harness
import oracle
from harness import check, equal, wait_until

LINES = 20000
COUNT = 'sum(count_over_time({job="ngx-api"}[1d]))'


def write_logs(directory, lines, seed):
    writer = harness.spawn("writer", [
        sys.executable, os.path.join(harness.REPO, "deploy", "demo", "ngx_demo.py"), directory,
        "--lines", str(lines), "--rate", "0", "--seed", str(seed), "--error-share", "5"])
    return writer


def stored(skald):
    result = skald.http.json("/loki/api/v1/query", query=COUNT)["data"]["result"]
    return int(float(result[0]["value"][1])) if result else 0


def check_queries(skald, entries, when):
    for query, naive in oracle.MAIN_QUERIES:
        want = naive(entries)
        check(want, f"the sample has no line for {query}")
        got = sorted((ns, line) for ns, line, _ in skald.http.entries(query))
        equal(len(got), len(want), f"number of entries of {query} {when}")
        for g, w in zip(got, want):
            equal(g, w, f"entry of {query} {when}")
    everything = sorted((ns, line) for ns, line, _ in skald.http.entries('{job="ngx-api"}'))
    equal(len(everything), len(entries), f"number of all entries {when}")
    check(everything == entries, f"some line differs from the file's {when}")


def check_metrics(skald, entries):
    result = skald.http.json("/loki/api/v1/query", query=f'sum by (level) (count_over_time('
                             '{job="ngx-api"}[1d]))')["data"]["result"]
    got = {r["metric"].get("level"): int(float(r["value"][1])) for r in result}
    want = {}
    for _, line in entries:
        level = oracle.json.loads(line)["level"]
        want[level] = want.get(level, 0) + 1
    equal(got, want, "lines by level")
    result = skald.http.json("/loki/api/v1/query", query='sum(bytes_over_time({job="ngx-api"}[1d]))')
    equal(int(float(result["data"]["result"][0]["value"][1])),
          sum(len(line.encode()) for _, line in entries), "bytes of all lines")


def check_labels(skald, logs):
    data = skald.http.json("/loki/api/v1/labels")["data"]
    check({"job", "level", "filename"} <= set(data), f"labels are {data}")
    equal(sorted(skald.http.json("/loki/api/v1/label/filename/values")["data"]), sorted(logs),
          "values of filename")
    series = skald.http.json("/loki/api/v1/series", **{"match[]": '{job="ngx-api",level="error"}'})
    equal(sorted(s["filename"] for s in series["data"]), sorted(logs), "error streams")


def test():
    directory = os.path.join(harness.WORK, "logs")
    os.makedirs(directory)
    skald = harness.Skald()
    first = write_logs(directory, LINES // 2, seed=1)
    agent = harness.Agent(harness.agent_config(skald.url, directory + "/*.log"))
    equal(first.child.wait(120), 0, "the first writer's exit code")
    second = write_logs(directory, LINES // 2, seed=2)   # a second program, while the agent tails
    equal(second.child.wait(120), 0, "the second writer's exit code")
    wait_until(f"{LINES} lines stored", lambda: stored(skald) >= LINES, timeout=60)
    equal(stored(skald), LINES, "lines stored")

    logs = sorted(glob.glob(directory + "/*.log"))
    entries = oracle.entries_of(logs)
    check_queries(skald, entries, "while running")
    check_metrics(skald, entries)
    check_labels(skald, logs)
    equal(agent.stop(), 0, "the agent's exit code")

    status, _, body = skald.http.request("POST", "/flush")
    check(status in (200, 204), f"POST /flush: {status} {body[:200]}")
    check_queries(skald, entries, "after the flush to parts")
    equal(skald.stop(), 0, "the store's exit code")
    skald = harness.Skald()
    check_queries(skald, entries, "after a restart")
    check_metrics(skald, entries)
    skald.kill()
    skald = harness.Skald()
    check_queries(skald, entries, "after kill -9")
    # A restarted agent sends nothing again.
    agent = harness.Agent(harness.agent_config(skald.url, directory + "/*.log"))
    wait_until("the new writer's lines", lambda: stored(skald) >= LINES + 100, timeout=60) \
        if write_logs(directory, 100, seed=3).child.wait(60) == 0 else None
    equal(agent.stop(), 0, "the second agent's exit code")
    equal(stored(skald), LINES + 100, "lines after the agent's restart")


if __name__ == "__main__":
    harness.run(test)
