#!/usr/bin/env python3
"""200 dashboards of 20 panels, each refreshed every 30 s over six hours, against a store that holds
the corpus: latency of the queries as their clients see it.

usage: dashboards_bench.py --data DIR [--bin DIR] [--dashboards 200] [--panels 20] [--seconds 90]
                           [--refresh 30] [--cores 0,1] [--ingest 1] [--distinct 0]

DIR is a data directory that e2e_bench.py left (build/bench/data); it is copied, not changed. The
dashboards start spread over the refresh interval. A dashboard looks at one pod, or at all of them;
its panels are those of deploy/grafana: rates and counts by level, quantiles, errors, top lists,
stats (instant) and logs. Requests go as Grafana sends them, over kept connections, from processes of
their own. With --ingest 1 lines arrive all the time (1,000 a second, as of now and up to a minute
late), so that every answer has to be a new one. The window of a request moves with the clock.
With --distinct 1 no two dashboards have a query in common: each has its own windows and limits, so
that what is computed for one is of no use to another.
"""
import argparse
import collections
import http.client
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
import urllib.parse

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(REPO, "tests", "e2e"))
import harness  # noqa: E402

WINDOW_S = 6 * 3600
CONFIG = "limits_config: {retention_period: 0s, max_query_length: 0s}\n"
FLAGS = {"X-Loki-Response-Encoding-Flags": "categorize-labels", "Accept-Encoding": "gzip"}


def panels(pod, count):
    """(kind, query) of a dashboard."""
    s = '{job="ngx-api"' + (f', pod="{pod}"' if pod else "") + "}"
    e = s[:-1] + ', level="error"}'
    ranges = [f"sum by (level) (count_over_time({s} [1m]))", f"sum(rate({s} [1m]))",
              f"sum(rate({e} [5m]))", f"sum(rate({e} [5m])) / sum(rate({s} [5m]))",
              f"sum(bytes_rate({s} [1m]))", f'sum(count_over_time({s} |= "ml_prediction" [1m]))',
              f'sum by (method) (rate({s} | json | event="http_request" [1m]))',
              f'quantile_over_time(0.95, {s} | json | event="http_request" | unwrap duration [5m])'
              " by (method)",
              f'avg_over_time({s} | json | event="ml_prediction" | unwrap duration [5m]) by ()',
              f'max_over_time({s} | json | event="http_request" | unwrap duration [5m]) by ()',
              f'sum(count_over_time({s} | json | event="http_request" | status >= 500 [1m]))',
              f'sum by (tier) (count_over_time({s} |= "conversation_started" | json [5m]))',
              f"topk(3, sum by (event) (rate({s} | json [5m])))",
              f'sum(count_over_time({s} |~ "Upstream(Timeout|Refused)" [1m]))']
    instants = [f"sum(count_over_time({s} [1h]))", f"sum(count_over_time({e} [1h]))",
                f'sum(count_over_time({s} |= "ml_prediction" | json | duration > 100 [1h]))']
    logs = [s, e, f'{s} |= "ERROR"']
    every = [("range", q) for q in ranges] + [("instant", q) for q in instants] + \
        [("logs", q) for q in logs]
    return [every[i % len(every)] for i in range(count)]


def own(every, number):
    """The panels of a dashboard, unlike those of any other."""
    seconds = {"[1m]": 60, "[5m]": 300, "[1h]": 3600}
    out = []
    for kind, query in every:
        for window, s in seconds.items():
            query = query.replace(window, f"[{s + number}s]")
        out.append((kind, query + (f' != "dashboard {number}"' if kind == "logs" else "")))
    return out


def target(kind, query, end_ns):
    if kind == "instant":
        return "/loki/api/v1/query?" + urllib.parse.urlencode(
            {"direction": "backward", "query": query, "time": end_ns})
    return "/loki/api/v1/query_range?" + urllib.parse.urlencode(
        {"direction": "backward", "end": end_ns, "limit": 100, "query": query,
         "start": end_ns - WINDOW_S * 10**9, "step": "30000ms"})


def viewer(port, dashboards, options, begin, last_ns, results):
    """A process: its dashboards' panels are asked when due, by as many connections as a browser
    has per server (six) for each dashboard."""
    taken = []
    lock = threading.Lock()

    def connection_loop(first_due, mine):
        http_connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        due = first_due
        while due < begin + options.seconds:
            time.sleep(max(0, due - time.monotonic()))
            for kind, query in mine:
                end_ns = last_ns + int((time.monotonic() - begin) * 1000) * 10**6
                started = time.monotonic()
                http_connection.request("GET", target(kind, query, end_ns), headers=FLAGS)
                answer = http_connection.getresponse()
                size = len(answer.read())
                with lock:
                    taken.append((kind, query, time.monotonic() - started, answer.status, size,
                                  due - begin))
            due += options.refresh
        http_connection.close()

    threads = []
    for number in dashboards:
        pod = [None, "pod-0", "pod-1", "pod-2", "pod-3"][number % 5]
        every = panels(pod, options.panels)
        if options.distinct:
            every = own(every, number)
        due = begin + options.refresh * number / options.dashboards
        for c in range(6):
            threads.append(threading.Thread(target=connection_loop, args=(due, every[c::6])))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put(taken)


def feeder(port, last_ns, begin, seconds):
    http_connection = harness.Http(port)
    rng = random.Random(1)
    while time.monotonic() < begin + seconds:
        started = time.monotonic()
        now = last_ns + int((started - begin) * 10**9)
        by_level = collections.defaultdict(list)
        for i in range(1000):
            level = "error" if rng.random() < 0.02 else "info"
            at = now - rng.randrange(60 * 10**9) if rng.random() < 0.05 else now + i
            by_level[level].append((at, json.dumps(
                {"event": "http_request", "level": level, "method": "GET", "status": 200,
                 "duration": round(rng.expovariate(0.03), 3)})))
        status, body = http_connection.push([
            ({"job": "ngx-api", "pod": "pod-0", "level": level}, values)
            for level, values in by_level.items()])
        harness.check(status == 204, f"push: {status} {body[:200]}")
        time.sleep(max(0, 1 - (time.monotonic() - started)))


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def report(options, taken, cpu, wall, metrics):
    bad = [t for t in taken if t[3] != 200]
    harness.check(not bad, f"{len(bad)} queries failed, the first: {bad[:1]}")
    print(f"{options.dashboards} dashboards x {options.panels} panels every {options.refresh} s over "
          f"6 h, {wall:.0f} s; {len(taken)} queries, {len(taken) / wall:.0f}/s; "
          f"ingest {'1,000 lines/s' if options.ingest else 'none'}; cores {options.cores}; "
          f"{len({t[1] for t in taken})} different queries")
    rows = [("all", taken), ("first round", [t for t in taken if t[5] < options.refresh]),
            ("later rounds", [t for t in taken if t[5] >= options.refresh])]
    rows += [(kind, [t for t in taken if t[0] == kind]) for kind in ("range", "instant", "logs")]
    for name, some in rows:
        ms = [t[2] * 1e3 for t in some]
        if ms:
            print(f"{name:14s} {len(ms):6d} queries  p50 {quantile(ms, .5):8.1f} ms  p95 "
                  f"{quantile(ms, .95):8.1f} ms  p99 {quantile(ms, .99):8.1f} ms  max {max(ms):8.1f} ms")
    print(f"CPU of the server {100 * cpu / wall:.0f} % of one core")
    for line in metrics.split("\n"):
        if line.startswith("skald_query_cache"):
            print(line)
    by_query = collections.defaultdict(list)
    for t in taken:
        by_query[t[1]].append(t[2] * 1e3)
    slow = sorted(by_query.items(), key=lambda item: -sum(item[1]))[:5]
    for query, ms in slow:
        print(f"  {sum(ms) / len(ms):8.1f} ms mean of {len(ms):4d}: {query}")


def measure(options):
    data = os.path.join(harness.WORK, "data")
    shutil.copytree(options.data, data)
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(core) for core in options.cores.split(",")})
    skald = harness.Skald(data_dir=data, config=CONFIG)
    os.sched_setaffinity(0, everywhere)
    newest = skald.http.json("/loki/api/v1/query_range", query='{job="ngx-api"}', limit=1,
                             start=10**18, end=time.time_ns() + 10**15)["data"]["result"]
    last_ns = int(newest[0]["values"][0][0])
    results = multiprocessing.Queue()
    begin, cpu = time.monotonic() + 1, harness.cpu_seconds(skald.pid)
    viewers = [multiprocessing.Process(target=viewer, args=(
        skald.port, range(p, options.dashboards, 4), options, begin, last_ns, results))
        for p in range(4)]
    if options.ingest:
        viewers.append(multiprocessing.Process(target=feeder, args=(
            skald.port, last_ns, begin, options.seconds)))
    for process in viewers:
        process.start()
    taken = [t for _ in range(4) for t in results.get()]
    for process in viewers:
        process.join()
    wall = time.monotonic() - begin
    report(options, taken, harness.cpu_seconds(skald.pid) - cpu, wall,
           skald.http.get("/metrics")[2].decode())
    skald.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--data", required=True)
    parser.add_argument("--cores", default="0,1")
    for name, default in [("dashboards", 200), ("panels", 20), ("seconds", 90), ("refresh", 30),
                          ("ingest", 1), ("distinct", 0)]:
        parser.add_argument("--" + name, type=int, default=default)
    options = parser.parse_args()
    harness.BIN = os.path.abspath(options.bin)
    harness.WORK = tempfile.mkdtemp(prefix="skald-dashboards-")
    try:
        measure(options)
    finally:
        harness.kill_all()
        shutil.rmtree(harness.WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
