#!/usr/bin/env python3
"""The way of an alert, with nothing standing in for anything: a structlog program writes errors to a
file, the agent ships them, the store's ruler evaluates, Debian's Alertmanager hears of it and tells a
webhook; it resolves after recovery; recorded series are read back from Debian's Prometheus.

Needs Debian's packages prometheus and prometheus-alertmanager; exits 77 (skipped) without them.
"""
import datetime
import json
import os
import threading
import time

import structlog

import alerting
import harness
from harness import check, equal, wait_until

INTERVAL = 5.0
WINDOW = 10
RULES = f"""
groups:
  - name: e2e
    interval: {INTERVAL:.0f}s
    rules:
      - alert: Errors
        expr: sum by (job) (count_over_time({{job="shop", level="error"}} [{WINDOW}s])) > 2
        labels: {{severity: critical}}
        annotations: {{summary: '{{{{ $labels.job }}}} had {{{{ $value }}}} errors'}}
      - record: job:errors:count
        expr: sum by (job) (count_over_time({{job="shop", level="error"}} [{WINDOW}s]))
      - alert: Pending
        expr: sum by (job) (count_over_time({{job="shop"}} [1h])) > 0
        for: 1h
"""


class Service:
    """A structlog program: one healthy line every 200 ms, errors when told."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8")
        self.log = structlog.wrap_logger(
            structlog.WriteLogger(self.file),
            processors=[structlog.processors.add_log_level,
                        structlog.processors.TimeStamper(fmt="iso", utc=True),
                        structlog.processors.JSONRenderer()])
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(0.2):
            self.log.info("http_request", status=200)

    def fail(self, times):
        for i in range(times):
            self.log.error("http_request", status=500, attempt=i)
        return time.time()

    def stop(self):
        self.ended.set()
        self.thread.join()
        self.file.close()


def epoch(text):
    """Seconds of an RFC 3339 time, whose fraction may have nine digits."""
    main, _, fraction = text.rstrip("Z").partition(".")
    whole = datetime.datetime.fromisoformat(main).replace(tzinfo=datetime.timezone.utc)
    return whole.timestamp() + float("0." + (fraction or "0"))


def last_evaluation(skald):
    group = skald.http.json("/prometheus/api/v1/rules")["data"]["groups"][0]
    return epoch(group["lastEvaluation"])


def metric(skald, name):
    """Sum of a metric's samples."""
    lines = skald.http.get("/metrics")[2].decode().split("\n")
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name + "{"))


def one_interval(skald):
    """The longest time to the next evaluation; longer only where the machine stood still."""
    return INTERVAL * (1 + metric(skald, "loki_prometheus_rule_group_iterations_missed_total"))


def pending(skald):
    for alert in skald.http.json("/prometheus/api/v1/alerts")["data"]["alerts"]:
        if alert["labels"]["alertname"] == "Pending":
            return alert
    return None


def check_firing(alertmanager, hook, skald, service):
    # Right after an evaluation, so that the next one is a whole interval away.
    before = last_evaluation(skald)
    wait_until("an evaluation", lambda: last_evaluation(skald) > before, 30, 0.02)
    written = service.fail(3)
    told = wait_until("the alert at the webhook",
                      lambda: [a for a in hook.alerts() if a["status"] == "firing"], 60)[0]
    began = epoch(told["startsAt"])
    print(f"fired {began - written:.2f} s after the line, told after {told['at'] - written:.2f} s "
          f"(interval {INTERVAL:.0f} s)")
    check(0 < began - written <= one_interval(skald),
          f"the alert began {began - written:.2f} s after the line")
    found = [a for a in alertmanager.json("/api/v2/alerts")
             if a["labels"]["alertname"] == "Errors"][0]
    equal(found["labels"], {"alertname": "Errors", "job": "shop", "severity": "critical",
                            "cluster": "e2e"}, "labels in Alertmanager")
    equal(found["annotations"]["summary"], "shop had 3 errors", "annotation in Alertmanager")
    check(found["generatorURL"].startswith("http://grafana.example/explore?left="),
          found["generatorURL"])
    return written


def check_recorded(prometheus, skald):
    recorded = wait_until("the recorded series in Prometheus",
                          lambda: prometheus.query("max_over_time(job:errors:count[1m])"), 60)
    equal(recorded[0]["metric"], {"job": "shop"}, "labels of the recorded series")
    equal(recorded[0]["value"][1], "3", "the recorded value")
    wait_until("ALERTS in Prometheus",
               lambda: prometheus.query('ALERTS{alertname="Pending",alertstate="pending"}'), 60)
    query = 'last_over_time({__name__="job:errors:count"} | logfmt | unwrap value [1m])'
    own = wait_until("the recorded series in the store", lambda: skald.http.json(
        "/loki/api/v1/query", query=query)["data"]["result"], 60)
    equal(own[0]["metric"].get("job"), "shop", "labels of the series in the store")


def check_resolved(skald, hook, written):
    told = wait_until("the alert resolved at the webhook",
                      lambda: [a for a in hook.alerts() if a["status"] == "resolved"], 90)[0]
    ended = epoch(told["endsAt"])
    print(f"resolved {ended - written:.2f} s after the last error (window {WINDOW} s)")
    check(WINDOW - 0.1 <= ended - written <= WINDOW + one_interval(skald) + 0.1,
          f"resolved {ended - written:.2f} s after the last error")


def check_hot_reload(skald):
    """A file that does not load is told in the log, in /metrics and in the API; mended, it runs."""
    def groups():
        return {g["name"] for g in skald.http.json("/prometheus/api/v1/rules")["data"]["groups"]}
    path = f"{harness.WORK}/rules/fake/later.yaml"
    alerting.write(path, "groups: [{name: later, rules: [{alert: X, expr: 'rate({a='}]}]\n")
    wait_until("the bad file in the log", lambda: "later.yaml" in skald.output(), 30)
    equal(metric(skald, "loki_ruler_config_last_reload_successful"), 0, "metric of the reload")
    warnings = skald.http.json("/prometheus/api/v1/rules").get("warnings", [])
    check(any("later.yaml" in w and "parse error" in w for w in warnings), f"warnings: {warnings}")
    check("e2e" in groups(), "the good file's groups are gone")
    alerting.write(path, "groups: [{name: later, rules: [{alert: X, expr: 'rate({a=\"b\"}[1m]) > 1'}]}]\n")
    wait_until("the mended file's group", lambda: "later" in groups(), 30)
    equal(metric(skald, "loki_ruler_config_last_reload_successful"), 1, "metric of the reload")
    os.remove(path)
    wait_until("the removed file's group to go", lambda: "later" not in groups(), 30)


def check_restart(skald, config):
    before = wait_until("a pending alert", lambda: pending(skald), 30)
    stopped = time.time()
    equal(skald.stop(), 0, "the store's exit code")
    skald = harness.Skald(config=config)
    after = wait_until("the pending alert after the restart", lambda: pending(skald), 30)
    moved = epoch(after["activeAt"]) - epoch(before["activeAt"])
    print(f"pending alert restored; activeAt moved by {moved:.1f} s (the downtime)")
    check(-0.01 <= moved <= time.time() - stopped, f"activeAt moved by {moved} s")
    _, _, metrics = skald.http.get("/metrics")
    check(b"loki_prometheus_rule_evaluations_total" in metrics, "no metrics of rules")
    equal(skald.stop(), 0, "the store's exit code")


def test():
    hook = alerting.Webhook()
    alertmanager = alerting.Alertmanager(hook)
    prometheus = alerting.Prometheus()
    os.makedirs(f"{harness.WORK}/rules/fake")
    with open(f"{harness.WORK}/rules/fake/e2e.yaml", "w", encoding="utf-8") as f:
        f.write(RULES)
    config = f"""
ruler:
  external_url: http://grafana.example
  external_labels: {{cluster: e2e}}
  storage: {{type: local, local: {{directory: {harness.WORK}/rules}}}}
  alertmanager_url: {alertmanager.url}
  resend_delay: 5s
  poll_interval: 500ms
  remote_write: {{enabled: true, clients: {{prom: {{url: "{prometheus.url}/api/v1/write"}}}}}}
"""
    skald = harness.Skald(config=config)
    log = os.path.join(harness.WORK, "shop.log")
    service = Service(log)
    agent = harness.Agent(harness.agent_config(skald.url, log, labels={"job": "shop"}))
    wait_until("the service's lines", lambda: skald.http.json(
        "/loki/api/v1/query", query='count_over_time({job="shop"}[1h])')["data"]["result"], 60)
    alertmanager.wait_ready()
    prometheus.wait_ready()
    written = check_firing(alertmanager, hook, skald, service)
    check_recorded(prometheus, skald)
    check_hot_reload(skald)
    check_resolved(skald, hook, written)
    service.stop()
    equal(agent.stop(), 0, "the agent's exit code")
    check_restart(skald, config)


if __name__ == "__main__":
    alerting.skip_without_programs()
    harness.run(test)
