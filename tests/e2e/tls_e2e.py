#!/usr/bin/env python3
"""The store over TLS: trust, client certificates, certificates replaced while it runs; basic auth and
tokens with scopes and tenants; and the agent shipping through all of it."""
import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import time
import urllib.parse

import certs
import harness
from harness import check, equal, wait_until


def config(pair, more_tls="", rest=""):
    return (f"server:\n  http_tls_config: {{cert_file: {pair[0]}, key_file: {pair[1]}{more_tls}}}\n"
            + rest)


def ask(skald, path, ca, cert=None, headers=None, method="GET", body=None):
    """Status and body over a new connection; ssl.SSLError and OSError are the caller's."""
    context = ssl.create_default_context(cafile=ca.ca_file)
    if cert:
        context.load_cert_chain(*cert)
    connection = http.client.HTTPSConnection("127.0.0.1", skald.port, timeout=30, context=context)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def served_certificate(skald, ca):
    """The serial number of the certificate that the server shows."""
    context = ssl.create_default_context(cafile=ca.ca_file)
    connection = http.client.HTTPSConnection("127.0.0.1", skald.port, timeout=30, context=context)
    connection.connect()
    serial = connection.sock.getpeercert()["serialNumber"]
    connection.close()
    return int(serial, 16)


def start(name, text, ca, cert=None):
    skald = harness.Skald(name=name, data_dir=os.path.join(harness.WORK, name), config=text,
                          wait=False)

    def ready():
        check(skald.alive(), f"{name} ended:\n{skald.output()[-2000:]}")
        try:
            return ask(skald, "/ready", ca, cert)[0] == 200
        except OSError:
            return False
    wait_until(f"{name} ready", ready, 30)
    return skald


def refused(what, call):
    try:
        status, body = call()
    except OSError:   # ssl.SSLError is one
        return
    check(False, f"{what}: got {status} {body[:200]}")


def trust_and_reload(ca, stranger):
    live = [os.path.join(harness.WORK, "live" + end) for end in (".pem", ".key")]

    def put_in_place(pair):
        for source, target in zip(pair, live):
            shutil.copy(source, target + ".new")
            os.replace(target + ".new", target)
    put_in_place(ca.issue("first"))
    skald = start("plain-tls", config(live), ca)
    refused("a client that trusts another authority", lambda: ask(skald, "/ready", stranger))
    try:
        check(harness.Http(skald.port, timeout=10).get("/ready")[0] != 200, "plain HTTP answered")
    except OSError:
        pass
    context = ssl.create_default_context(cafile=ca.ca_file)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    connection = http.client.HTTPSConnection("127.0.0.1", skald.port, timeout=10, context=old)
    refused("TLS 1.1", lambda: (connection.request("GET", "/ready"), ""))

    kept = http.client.HTTPSConnection("127.0.0.1", skald.port, timeout=30, context=context)
    kept.request("GET", "/ready")
    equal(kept.getresponse().read(), b"ready\n", "over TLS 1.2")
    equal(served_certificate(skald, ca), 1, "serial of the first certificate")
    put_in_place(ca.issue("second"))
    os.kill(skald.pid, signal.SIGHUP)
    wait_until("the second certificate", lambda: served_certificate(skald, ca) == 2, 30)
    kept.request("GET", "/ready")
    equal(kept.getresponse().read(), b"ready\n", "the connection of before")
    kept.close()
    with open(live[0], "w", encoding="ascii") as f:
        f.write("no certificate")
    status, body = ask(skald, "/-/reload", ca, method="POST")
    check(status >= 400, f"a bad certificate was taken: {status} {body}")
    equal(served_certificate(skald, ca), 2, "the certificate after a refused reload")
    equal(skald.stop(), 0, "exit code")


def client_certificates(ca, stranger, server):
    client, foreign = ca.issue("client"), stranger.issue("foreign")
    skald = start("mutual-tls", config(server, f", client_ca_file: {ca.ca_file}"), ca, client)
    refused("no client certificate", lambda: ask(skald, "/ready", ca))
    refused("a stranger's client certificate", lambda: ask(skald, "/ready", ca, foreign))
    equal(ask(skald, "/ready", ca, client)[0], 200, "with a client certificate")
    equal(skald.stop(), 0, "exit code")
    skald = start("optional-tls", config(server, f", client_ca_file: {ca.ca_file}, "
                                         "client_auth_type: VerifyClientCertIfGiven"), ca)
    equal(ask(skald, "/ready", ca)[0], 200, "no client certificate, none needed")
    refused("a stranger's client certificate", lambda: ask(skald, "/ready", ca, foreign))
    equal(skald.stop(), 0, "exit code")


def basic(user, password):
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": "Basic " + token}


def users(token):
    return f"""
auth_enabled: true
auth:
  users:
    - {{name: writer, password_hash: '{certs.bcrypt("pen")}', scopes: [push], tenants: [a]}}
    - {{name: reader, password_hash: '{certs.bcrypt("glass")}', scopes: [query], tenants: [a, b]}}
    - {{token_sha256: {hashlib.sha256(token.encode()).hexdigest()}, scopes: [admin]}}
"""


def scopes(skald, ca, client):
    query = "/loki/api/v1/query?query=vector(1)"
    push = ("/loki/api/v1/push", "POST", json.dumps({"streams": []}))
    cases = [
        ("no credentials", query, {}, "a", 401),
        ("a wrong password", query, basic("reader", "pen"), "a", 401),
        ("an unknown user", query, basic("nobody", "glass"), "a", 401),
        ("a reader reads", query, basic("reader", "glass"), "a", 200),
        ("a reader reads two tenants", query, basic("reader", "glass"), "a|b", 200),
        ("a reader of another tenant", query, basic("reader", "glass"), "c", 403),
        ("a reader of one tenant too many", query, basic("reader", "glass"), "a|c", 403),
        ("a reader does not write", push, basic("reader", "glass"), "a", 403),
        ("a writer writes", push, basic("writer", "pen"), "a", 422),
        ("a writer does not read", query, basic("writer", "pen"), "a", 403),
        ("a writer of another tenant", push, basic("writer", "pen"), "b", 403),
        ("the admin's token", query, {"Authorization": "Bearer the-token"}, "c", 200),
        ("a wrong token", query, {"Authorization": "Bearer the-tokem"}, "c", 401),
        ("a reader is no admin", "/config", basic("reader", "glass"), "a", 403),
        ("the state of rules is not a writer's", "/prometheus/api/v1/rules",
         basic("writer", "pen"), "a", 403),
    ]
    for what, target, headers, tenant, want in cases:
        path, method, body = target if isinstance(target, tuple) else (target, "GET", None)
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
        status, answer = ask(skald, path, ca, client, {**headers, "X-Scope-OrgID": tenant}, method,
                             body)
        check(status == want, f"{what}: {status} {answer[:200]}, expected {want}")
    shown = ask(skald, "/config", ca, client, {"Authorization": "Bearer the-token"})[1]
    check("$2b$" not in shown and not re.search("[0-9a-f]{64}", shown), "hashes in /config")


def agent_through_all(skald, ca, client):
    log = os.path.join(harness.WORK, "app.log")
    with open(log, "w", encoding="utf-8") as f:
        for i in range(100):
            f.write(json.dumps({"level": "info", "event": f"line {i}"}) + "\n")
    more = f"""    tenant_id: a
    basic_auth: {{username: writer, password: pen}}
    tls_config: {{ca_file: {ca.ca_file}, cert_file: {client[0]}, key_file: {client[1]}}}
"""
    agent = harness.Agent(harness.agent_config(f"https://127.0.0.1:{skald.port}", log,
                                               labels={"job": "tls"}, client=more))
    path = "/loki/api/v1/query_range?limit=1000&" + urllib.parse.urlencode(
        {"query": '{job="tls"}', "start": time.time_ns() - 3600 * 10**9,
         "end": time.time_ns() + 3600 * 10**9})
    headers = {**basic("reader", "glass"), "X-Scope-OrgID": "a"}

    def lines():
        status, body = ask(skald, path, ca, client, headers)
        equal(status, 200, body[:200])
        return sum(len(s["values"]) for s in json.loads(body)["data"]["result"]) == 100
    wait_until("the agent's lines", lines, 60, 0.2)
    equal(agent.stop(), 0, "the agent's exit code")


def test():
    ca, stranger = certs.Authority("ca"), certs.Authority("stranger")
    trust_and_reload(ca, stranger)
    server, client = ca.issue("server"), ca.issue("friend")
    client_certificates(ca, stranger, server)
    skald = start("auth-tls", config(server, f", client_ca_file: {ca.ca_file}", users("the-token")),
                  ca, client)
    scopes(skald, ca, client)
    agent_through_all(skald, ca, client)
    equal(skald.stop(), 0, "exit code")


if __name__ == "__main__":
    harness.run(test)
