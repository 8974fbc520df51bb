#!/usr/bin/env python3
"""Alerts to Debian's Alertmanager over mutual TLS and recorded series to Debian's Prometheus over TLS
with basic auth; a target whose certificate is not trusted gets nothing and is counted.

Needs Debian's packages prometheus and prometheus-alertmanager; exits 77 (skipped) without them.
"""
import os
import re
import time

import alerting
import certs
import harness
from harness import check, equal, wait_until

RULES = """
groups:
  - name: tls
    interval: 1s
    rules:
      - alert: Lines
        expr: sum(count_over_time({job="tls"}[1h])) > 0
      - record: tls:lines
        expr: sum(count_over_time({job="tls"}[1h]))
"""


def web_config(pair, client_ca=None, user=None):
    text = f"tls_server_config: {{cert_file: {pair[0]}, key_file: {pair[1]}"
    if client_ca:
        text += f", client_auth_type: RequireAndVerifyClientCert, client_ca_file: {client_ca}"
    text += "}\n"
    if user:
        text += f"basic_auth_users: {{{user[0]}: '{certs.bcrypt(user[1])}'}}\n"
    return text


def config(alertmanager, prometheus, ca, trusted, client, password):
    return f"""
ruler:
  storage: {{type: local, local: {{directory: {harness.WORK}/rules}}}}
  alertmanager_url: {alertmanager.url}
  alertmanager_client:
    tls_ca_path: {trusted.ca_file}
    tls_cert_path: {client[0]}
    tls_key_path: {client[1]}
  remote_write:
    enabled: true
    clients:
      prom:
        url: {prometheus.url}/api/v1/write
        basic_auth: {{username: ruler, password: {password}}}
        tls_config: {{ca_file: {ca.ca_file}, server_name: localhost}}
"""


def metric(skald, name):
    text = skald.http.get("/metrics")[2].decode()
    found = re.search(rf"^{name}{{[^}}]*}} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


def test():
    ca, stranger = certs.Authority("ca"), certs.Authority("stranger")
    user = ("ruler", "correct horse")
    server, client = ca.issue("server"), ca.issue("client")
    alertmanager = alerting.Alertmanager(web=web_config(server, client_ca=ca.ca_file),
                                         ca=ca.ca_file, cert=client)
    prometheus = alerting.Prometheus(web=web_config(server, user=user), ca=ca.ca_file, user=user)
    os.makedirs(f"{harness.WORK}/rules/fake")
    alerting.write(f"{harness.WORK}/rules/fake/tls.yaml", RULES)
    alertmanager.wait_ready()
    prometheus.wait_ready()

    # A certificate of an authority we do not trust and a wrong password: refused, counted, nobody is told.
    skald = harness.Skald(config=config(alertmanager, prometheus, ca, stranger, client, "wrong"))
    equal(skald.http.push([({"job": "tls"}, [(time.time_ns(), "a line")])])[0], 204, "push")
    for name in ("loki_prometheus_notifications_errors_total",
                 "loki_ruler_remote_write_requests_failed_total"):
        wait_until(f"{name} counts", lambda n=name: metric(skald, n) > 0, 60)
    for reason in ("certificate: unable to get local issuer certificate", "HTTP 401"):
        check(reason in skald.output(), f"the log does not say: {reason}")
    equal(alertmanager.json("/api/v2/alerts"), [], "alerts in spite of the stranger's certificate")
    equal(skald.stop(), 0, "the store's exit code")

    skald = harness.Skald(config=config(alertmanager, prometheus, ca, ca, client, user[1]))
    wait_until("the alert in Alertmanager", lambda: alertmanager.json("/api/v2/alerts"), 60)
    recorded = wait_until("the recorded series in Prometheus",
                          lambda: prometheus.query("tls:lines"), 60)
    equal(recorded[0]["value"][1], "1", "the recorded value")
    equal(skald.stop(), 0, "the store's exit code")


if __name__ == "__main__":
    alerting.skip_without_programs()
    harness.run(test)
