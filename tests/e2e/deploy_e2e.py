#!/usr/bin/env python3
"""The configurations under deploy/ are accepted by the programs they are for, and the dashboards'
queries by the store."""
import glob
import json
import os
import re
import subprocess
import textwrap

import harness
from harness import check

DEPLOY = os.path.join(harness.REPO, "deploy")


def embedded(path, key):
    """Texts of `key: |` blocks of a Kubernetes manifest."""
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    for i, line in enumerate(lines):
        if line.strip() == f"{key}: |":
            indent = len(line) - len(line.lstrip())
            block = []
            for text in lines[i + 1:]:
                if text.strip() and len(text) - len(text.lstrip()) <= indent:
                    break
                block.append(text)
            yield textwrap.dedent("\n".join(block))


def configurations(key, plain):
    for path in plain:
        with open(os.path.join(DEPLOY, path), encoding="utf-8") as f:
            yield path, f.read()
    for path in sorted(glob.glob(DEPLOY + "/kubernetes/*.yaml")):
        for text in embedded(path, key):
            yield os.path.relpath(path, DEPLOY), text


def dashboard_queries():
    for path in sorted(glob.glob(DEPLOY + "/grafana/dashboards/*.json")):
        with open(path, encoding="utf-8") as f:
            dashboard = json.load(f)
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"]


def check_dashboards():
    skald = harness.Skald(name="for-dashboards", data_dir=os.path.join(harness.WORK, "dashboards"))
    count = 0
    for title, query in dashboard_queries():
        for name, value in (("$job", "ngx-api"), ("$__auto", "1m"), ("$__range", "1h")):
            query = query.replace(name, value)
        status, _, body = skald.http.get("/loki/api/v1/query_range", query=query, step="60s")
        check(status == 200, f"panel {title}: {status} {body[:300]} to {query}")
        count += 1
    check(count > 0, "no dashboard query found")
    check(skald.stop() == 0, "the store did not end well")


def check_rules():
    """The rules load and pass their own unit tests."""
    tests = sorted(glob.glob(DEPLOY + "/rules/tests/*.yaml"))
    for arguments in (["check", os.path.join(DEPLOY, "rules", "fake")], ["test", *tests]):
        done = subprocess.run([harness.program("skaldctl"), "rules", *arguments],
                              capture_output=True, timeout=120, check=False)
        check(done.returncode == 0,
              f"rules {arguments[0]}: {(done.stdout + done.stderr).decode()[-1500:]}")


def test():
    check_rules()
    check_dashboards()
    count = 0
    for name, text in configurations("agent.yaml", ["systemd/agent.yaml", "docker/agent.yaml",
                                                    "demo/agent.yaml"]):
        path = os.path.join(harness.WORK, "agent.yaml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        done = subprocess.run(
            [harness.program("skald-agent"), "--config", path, "--expand-env", "--check-syntax"],
            capture_output=True, timeout=20, check=False,
            env={**os.environ, "NODE": "n", "POD": "p", "NAMESPACE": "ns",
                 "URL": "http://127.0.0.1:3100", "LOGS": "/tmp/logs", "DATA": harness.WORK})
        check(done.returncode == 0, f"deploy/{name}: {(done.stdout + done.stderr).decode()[:500]}")
        count += 1
    for name, text in configurations("skald.yaml", ["systemd/skald.yaml"]):
        text = re.sub(r"http_listen_address:.*", "http_listen_address: 127.0.0.1", text)
        skald = harness.Skald(config=text, data_dir=os.path.join(harness.WORK, f"data{count}"),
                              name=f"skald{count}")
        check(skald.stop() == 0, f"deploy/{name}: the store did not end well")
        count += 1
    check(count >= 7, f"only {count} configurations found")


if __name__ == "__main__":
    harness.run(test)
