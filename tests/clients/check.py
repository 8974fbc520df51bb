#!/usr/bin/env python3
"""Lets real clients talk to the real server; README.md says which. check.py [--bin DIR] [NAME...]"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPO, "tests", "e2e"))
import alerting  # noqa: E402
import harness  # noqa: E402
from harness import check, equal, free_port, wait_until  # noqa: E402

LINES = 200
GO_CLIENT = "github.com/grafana/loki-client-go@v0.0.0-20230116142646-e7494d0ef70c"
NPM = ["pino@9", "pino-loki@3.0.0", "winston@3", "winston-loki@6.1.7"]
PIP = ["python-logging-loki==0.3.1", "opentelemetry-sdk==1.45.2",
       "opentelemetry-exporter-otlp-proto-http==1.45.2"]


class Skip(Exception):
    """The machine lacks what this client needs."""


def run(argv, cwd, timeout=300):
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)
    check(done.returncode == 0, f"{' '.join(argv)}: {done.stdout[-1500:]}{done.stderr[-1500:]}")
    return done.stdout


def need(program):
    if not shutil.which(program):
        raise Skip(f"no {program}")


def scratch(name, install):
    """A directory of this run in which install(directory) was called once."""
    directory = os.path.join(harness.WORK, name)
    if not os.path.isdir(directory):
        os.makedirs(directory)
        install(directory)
    return directory


def node_client(skald, script, *args):
    need("npm")

    def install(directory):
        run(["npm", "init", "-y"], directory)
        run(["npm", "install", "--no-audit", "--no-fund", *NPM], directory)
    directory = scratch("npm", install)
    shutil.copy(os.path.join(HERE, script), directory)
    run(["node", script, skald.url, str(LINES), *args], directory)


def python_client(skald, script, *args):
    def install(directory):
        run([sys.executable, "-m", "venv", directory], HERE)
        run([directory + "/bin/pip", "install", "--quiet", *PIP], directory)
    directory = scratch("venv", install)
    run([directory + "/bin/python", os.path.join(HERE, script), skald.url, str(LINES), *args],
        directory)


def go_client(skald):
    need("go")

    def install(directory):
        run(["go", "mod", "init", "check"], directory)
        shutil.copy(os.path.join(HERE, "loki_client_go.go"), directory)
        run(["go", "get", GO_CLIENT], directory)
        run(["go", "mod", "tidy"], directory)
        run(["go", "build", "-o", "client"], directory)
    run([scratch("go", install) + "/client", skald.url, str(LINES)], HERE)


def arrived(skald, selector, text=lambda line: line, count=LINES):
    """The entries of the selector, once all are there; each must hold its line number and text."""
    entries = wait_until(f"{count} lines of {selector}", lambda: (
        lambda e: e if len(e) >= count else None)(skald.http.entries(selector)), 30)
    equal(len(entries), count, f"lines of {selector}")
    texts = sorted(text(line) for _, line, _ in entries)
    equal(texts, sorted(f'line {i} "quoted" ü' for i in range(count)), f"texts of {selector}")
    return entries


def pino(skald):
    node_client(skald, "pino.js")
    arrived(skald, '{application="pino"} |= "line"', lambda line: json.loads(line)["msg"])
    levels = {labels.get("level") for _, _, labels in skald.http.entries('{application="pino"}')}
    check({"info", "error"} <= levels, f"levels of pino: {levels}")


def winston(form):
    def client(skald):
        node_client(skald, "winston.js", form)
        arrived(skald, f'{{application="winston-{form}"}}', lambda line: line.split(" {")[0])
    return client


def logging_loki(skald):
    python_client(skald, "logging_loki_client.py")
    entries = arrived(skald, '{application="python-logging-loki"}')
    equal(entries[0][2].get("severity"), "info", "label severity")


def otel(compression):
    def client(skald):
        python_client(skald, "otel_client.py", compression)
        entries = arrived(skald, f'{{service_name="otel-{compression}"}}')
        labels = entries[0][2]
        equal({k: labels.get(k) for k in ("detected_level", "http_status", "nested_a", "scope_name",
                                          "host_arch", "severity_text")},
              {"detected_level": "warn", "http_status": "200", "nested_a": "b",
               "scope_name": "check", "host_arch": "amd64", "severity_text": "WARN"},
              "labels of an OTLP entry")
    return client


def loki_client_go(skald):
    go_client(skald)
    arrived(skald, '{application="loki-client-go"}')


def prometheus(skald):
    need("prometheus")
    server = alerting.Prometheus(scrape=f"[{{job_name: skald, static_configs: [{{targets: "
                                        f"['127.0.0.1:{skald.port}']}}]}}]")
    server.wait_ready()
    wait_until("a good scrape", lambda: [r for r in server.query('up{job="skald"}')
                                         if r["value"][1] == "1"], 60)
    check(server.query("skald_build_info"), "no skald_build_info in Prometheus")
    metadata = server.json("/api/v1/targets/metadata?limit=1000")["data"]
    check(len(metadata) > 30 and all(m["type"] != "unknown" for m in metadata),
          f"types of metrics: {metadata[:5]}")


def logcli(skald):
    need("logcli")
    now = time.time_ns()
    status, _ = skald.http.push([({"application": "logcli"},
                                  [(now + i, f"line {i}") for i in range(LINES)])])
    equal(status, 204, "push")
    base = ["logcli", "--addr", skald.url, "--quiet"]
    out = run([*base, "query", "--limit", "5000", "--batch", "60", "--output", "raw", "--forward",
               '{application="logcli"}'], HERE)
    equal(out.split("\n")[:-1], [f"line {i}" for i in range(LINES)], "logcli query")
    check("application" in run([*base, "labels"], HERE), "logcli labels")
    check("logcli" in run([*base, "series", '{application="logcli"}'], HERE), "logcli series")
    run([*base, "instant-query", 'sum(count_over_time({application="logcli"}[1h]))'], HERE)
    check(f"entries: {LINES}" in run([*base, "stats", '{application="logcli"}'], HERE), "logcli stats")
    check('"logcli"' in run([*base, "volume", '{application="logcli"}'], HERE), "logcli volume")
    check('"logcli"' in run([*base, "volume_range", "--step", "5m", '{application="logcli"}'], HERE),
          "logcli volume_range")
    check("detected_level" in run([*base, "detected-fields", '{application="logcli"}'], HERE),
          "logcli detected-fields")
    check("line 7" in run([*base, "query", "--output", "jsonl", '{application="logcli"} |= "line 7"'],
                          HERE), "logcli jsonl")
    run([*base, "delete", "create", "--from", "2020-01-01T00:00:00Z", "--to", "2020-01-02T00:00:00Z",
         '{application="logcli"}'], HERE)
    check('{application="logcli"}' in run([*base, "delete", "list"], HERE), "logcli delete list")
    skald.http.push([({"application": "logcli-tail"}, [(time.time_ns(), "tailed")])])
    with subprocess.Popen([*base, "query", "--tail", "--output", "raw", '{application="logcli-tail"}'],
                          stdout=subprocess.PIPE, text=True) as tail:
        try:
            equal(tail.stdout.readline(), "tailed\n", "logcli --tail")
        finally:
            tail.kill()


def lokitool(skald):
    need("lokitool")
    path = os.path.join(harness.WORK, "rules.yaml")
    alerting.write(path, "namespace: check\ngroups:\n- name: g\n  rules:\n"
                         "  - {record: r, expr: 'sum(rate({a=\"b\"}[1m]))'}\n")
    base = ["--address", skald.url, "--id", "fake"]
    run(["lokitool", "rules", "load", *base, path], HERE)
    check("check" in run(["lokitool", "rules", "list", *base], HERE), "lokitool rules list")
    check("no changes" in run(["lokitool", "rules", "diff", *base, "--rule-files", path], HERE),
          "lokitool rules diff")
    check("record" in run(["lokitool", "rules", "print", *base, "--disable-color"], HERE),
          "lokitool rules print")
    check("record" in run(["lokitool", "rules", "get", *base, "--disable-color", "check", "g"], HERE),
          "lokitool rules get")
    run(["lokitool", "rules", "delete", *base, "check", "g"], HERE)
    run(["lokitool", "rules", "sync", *base, "--rule-files", path], HERE)
    check("check" in run(["lokitool", "rules", "list", *base], HERE), "lokitool rules sync")
    run(["lokitool", "rules", "delete", *base, "check", "g"], HERE)


def loki_canary(skald):
    """Pushes, tails and queries for half a minute, and counts what it misses."""
    need("loki-canary")
    port = free_port()
    flags = ["-push=true", "-labelname=name", "-labelvalue=canary", "-interval=200ms", "-wait=10s",
             "-max-wait=20s", "-pruneinterval=5s", "-spot-check-interval=5s",
             "-spot-check-initial-wait=2s", "-spot-check-query-rate=5s", "-metric-test-interval=8s",
             "-metric-test-range=30s", "-tls=false", f"-port={port}",
             f"-addr=127.0.0.1:{skald.port}", "-user=x", "-pass=y"]
    canary = subprocess.Popen(["loki-canary", *flags], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        time.sleep(30)
        text = harness.Http(port).get("/metrics")[2].decode()
    finally:
        canary.kill()
        canary.wait()
    figures = {line.split()[0]: float(line.split()[1]) for line in text.split("\n")
               if line.startswith("loki_canary") and "{" not in line}
    check(figures["loki_canary_entries_total"] > 100, "loki-canary wrote little")
    check(figures["loki_canary_spot_check_entries_total"] > 0, "no spot check")
    for name in ("missing_entries", "out_of_order_entries", "unexpected_entries",
                 "websocket_missing_entries", "spot_check_missing_entries", "duplicate_entries"):
        equal(figures[f"loki_canary_{name}_total"], 0, f"loki-canary: {name}")


def fluent_bit(skald):
    """Loki's output and OpenTelemetry's, each with its own lines."""
    need("fluent-bit")
    common = ["-i", "dummy", "-p", '{"dummy":{"event":"x","n":1}}', "-p", "samples=20", "-p", "rate=50"]
    where = ["-p", "host=127.0.0.1", "-p", f"port={skald.port}"]
    outputs = {
        "fb-loki": ["-o", "loki", *where, "-p", "labels=application=fb-loki", "-p",
                    "label_keys=$event"],
        "fb-gzip": ["-o", "loki", *where, "-p", "labels=application=fb-gzip", "-p", "compress=gzip"],
        "fb-otel": ["-o", "opentelemetry", *where, "-p", "logs_uri=/otlp/v1/logs", "-p",
                    "compress=gzip"],
    }
    for name, output in outputs.items():
        done = subprocess.run(["timeout", "-s", "INT", "8", "fluent-bit", "-f", "1", "-q", *common,
                               *output, "-p", "match=*"], capture_output=True, text=True, check=False)
        check("error" not in done.stderr.lower(), f"{name}: {done.stderr[-1500:]}")
        selector = f'{{application="{name}"}}' if name != "fb-otel" else '{service_name="unknown_service"}'
        wait_until(f"the lines of {name}", lambda s=selector: len(skald.http.entries(s)) == 20)


CLIENTS = {"pino-loki": pino, "winston-loki-json": winston("json"),
           "winston-loki-protobuf": winston("protobuf"), "python-logging-loki": logging_loki,
           "otel-none": otel("none"), "otel-gzip": otel("gzip"), "loki-client-go": loki_client_go,
           "prometheus": prometheus, "logcli": logcli, "lokitool": lokitool,
           "loki-canary": loki_canary, "fluent-bit": fluent_bit}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    harness.BIN = os.path.abspath(options.bin)
    harness.WORK = tempfile.mkdtemp(prefix="skald-clients-")
    failed = False
    try:
        skald = harness.Skald()
        for name in options.names or CLIENTS:
            try:
                CLIENTS[name](skald)
                print(f"{name}: ok", flush=True)
            except Skip as reason:
                print(f"{name}: skipped ({reason})", flush=True)
            except (harness.Failure, OSError, subprocess.TimeoutExpired) as error:
                failed = True
                print(f"{name}: FAILED: {error}", flush=True)
        print(skald.output(), end="")
    finally:
        harness.kill_all()
        shutil.rmtree(harness.WORK, ignore_errors=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
