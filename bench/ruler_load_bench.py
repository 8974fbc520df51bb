#!/usr/bin/env python3
"""10,000 rules over 500 selectors every 15 s: the real server on one core while lines arrive.

usage: ruler_load_bench.py [--bin DIR] [--rules 10000] [--selectors 500] [--interval 15]
                           [--rounds 6] [--lines-per-second 5000] [--core 0]

The server is bound to one core, the pusher to the others. Each selector has its
group of rules: five expressions with thresholds, as alert files do, and one recording rule. The
store holds five minutes of lines when the rules start. After the given rounds it prints evaluations
and missed ones from /metrics, how late groups began, and the CPU that all of it took (pushes too).
Exits with 1 if an evaluation was missed or failed.
"""
import argparse
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time

REPO = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(REPO, "tests", "e2e"))
import harness  # noqa: E402

HISTORY_S = 300


def expressions(selector):
    return [f'sum(count_over_time({selector} |= "error" [5m]))',
            f"sum(rate({selector} [1m]))",
            f"sum(count_over_time({selector} | json | status >= 500 [5m]))",
            f"avg_over_time({selector} | json | unwrap duration [5m])",
            f"sum(bytes_rate({selector} [1m]))"]


def write_rules(directory, options):
    per_group = options.rules // options.selectors
    os.makedirs(directory)
    for s in range(options.selectors):
        selector = f'{{app="svc-{s}"}}'
        rules = [f"  - {{record: 'svc:errors', expr: '{expressions(selector)[0]}'}}"]
        for i in range(per_group - 1):
            expression = expressions(selector)[i % 5]
            rules.append(f"  - {{alert: A{i}, expr: '{expression} > {(i + 1) * 1000000}', "
                         "annotations: {summary: '{{ $value | humanize }}'}}")
        with open(f"{directory}/svc-{s}.yaml", "w", encoding="ascii") as f:
            f.write(f"groups:\n- name: g\n  interval: {options.interval}s\n  rules:\n" +
                    "\n".join(rules) + "\n")


def line(rng):
    failed = rng.random() < 0.05
    return json.dumps({"event": "http_request", "level": "error" if failed else "info",
                       "status": 500 if failed else 200, "duration": round(rng.expovariate(0.03), 3)})


def push(http, options, rng, start_ns, end_ns, count):
    """`count` lines spread over the time and the streams."""
    streams = {}
    for i in range(count):
        at = start_ns + (end_ns - start_ns) * i // count
        streams.setdefault(rng.randrange(options.selectors), []).append((at, line(rng)))
    status, body = http.push([({"app": f"svc-{s}"}, values) for s, values in streams.items()])
    harness.check(status == 204, f"push: {status} {body[:200]}")


def total(metrics, name, labels=""):
    found = re.findall(rf"^{name}(?:{{[^}}]*{labels}[^}}]*}})? (\S+)$", metrics, re.M)
    return sum(float(value) for value in found)


def figures(metrics):
    prefix = "loki_prometheus_rule_"
    return {"evaluations": total(metrics, prefix + "evaluations_total"),
            "failures": total(metrics, prefix + "evaluation_failures_total"),
            "missed": total(metrics, prefix + "group_iterations_missed_total"),
            "seconds": total(metrics, prefix + "group_duration_seconds_sum"),
            "late_sum": total(metrics, "loki_ruler_start_delay_seconds_sum"),
            "starts": total(metrics, "loki_ruler_start_delay_seconds_count"),
            "late_max": total(metrics, "loki_ruler_start_delay_seconds_max"),
            "asked": total(metrics, "loki_ruler_queries_total", 'kind="asked"'),
            "shared": total(metrics, "loki_ruler_queries_total", 'kind="shared"'),
            "scans_asked": total(metrics, "loki_ruler_scans_total", 'kind="asked"'),
            "scans_run": total(metrics, "loki_ruler_scans_total", 'kind="run"')}


def measure(options):
    rng = random.Random(options.seed)
    write_rules(harness.WORK + "/rules/fake", options)
    config = ("limits_config: {max_global_streams_per_user: 0}\nruler:\n"
              f"  storage: {{type: local, local: {{directory: {harness.WORK}/rules}}}}\n")
    filler = harness.Skald(name="filler", config="limits_config: {max_global_streams_per_user: 0}\n")
    now = time.time_ns()
    for second in range(HISTORY_S):
        at = now - (HISTORY_S - second) * 10**9
        push(filler.http, options, rng, at, at + 10**9, options.lines_per_second)
    filler.stop()
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {options.core})   # which the server inherits
    skald = harness.Skald(config=config)
    os.sched_setaffinity(0, everywhere - {options.core} or everywhere)
    started, cpu = time.monotonic(), harness.cpu_seconds(skald.pid)
    end = started + options.rounds * options.interval
    sent = 0
    while time.monotonic() < end:
        at = time.time_ns()
        push(skald.http, options, rng, at - 10**9, at, options.lines_per_second)
        sent += options.lines_per_second
        time.sleep(max(0, started + sent / options.lines_per_second - time.monotonic()))
    wall = time.monotonic() - started
    cpu = harness.cpu_seconds(skald.pid) - cpu
    f = figures(skald.http.get("/metrics")[2].decode())
    report(options, f, wall, cpu, sent)
    skald.stop()
    harness.check(f["missed"] == 0 and f["failures"] == 0, "evaluations were missed or failed")


def report(options, f, wall, cpu, sent):
    rounds = max(f["starts"] / options.selectors, 1e-9)
    print(f"{options.rules} rules, {options.selectors} selectors, every {options.interval} s, "
          f"for {wall:.0f} s on core {options.core}; {sent / wall:.0f} lines/s arriving")
    print(f"evaluations           {f['evaluations']:.0f} ({rounds:.2f} rounds)")
    print(f"missed intervals      {f['missed']:.0f}")
    print(f"failed                {f['failures']:.0f}")
    print(f"queries asked/shared  {f['asked']:.0f} / {f['shared']:.0f}")
    print(f"scans asked/run       {f['scans_asked']:.0f} / {f['scans_run']:.0f}")
    print(f"groups began late by  {1e3 * f['late_sum'] / max(f['starts'], 1):.1f} ms on average, "
          f"{1e3 * f['late_max']:.1f} ms at most")
    print(f"evaluating            {f['seconds'] / rounds:.2f} s per round")
    print(f"CPU of the server     {100 * cpu / wall:.1f} % of the core, {cpu / rounds:.2f} s per round, "
          "pushes included")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    for name, default in [("rules", 10000), ("selectors", 500), ("interval", 15), ("rounds", 6),
                          ("lines-per-second", 5000), ("core", 0), ("seed", 1)]:
        parser.add_argument("--" + name, type=int, default=default)
    options = parser.parse_args()
    harness.BIN = os.path.abspath(options.bin)
    harness.WORK = tempfile.mkdtemp(prefix="skald-ruler-bench-")
    try:
        measure(options)
    except harness.Failure as failure:
        sys.exit(f"FAILED: {failure}")
    finally:
        harness.kill_all()
        shutil.rmtree(harness.WORK, ignore_errors=True)


if __name__ == "__main__":
    main()
