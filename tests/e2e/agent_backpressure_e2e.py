#!/usr/bin/env python3
"""Receivers in front of servers that take nothing for a while. One tenant's 429 holds up no other
tenant's pushes to the same receiver, however many of its requests wait; its own are refused and
succeed once the server takes them. Syslog over TCP to two clients, one of them down: the sender is
held back, and in the end both have every line once.

usage: agent_backpressure_e2e.py --bin DIR
"""
import http.server
import json
import socket
import socketserver
import threading
import time

import harness
from harness import check, equal, free_port, wait_until


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Answers like a store that is no Skald; `busy` tenants get 429."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.busy, self.pushes = {"busy"}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.answer(404)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        tenant = self.headers.get("X-Scope-OrgID", "")
        if tenant in self.server.busy:
            return self.answer(429)
        self.server.pushes.append(tenant)
        self.answer(204)


def push(port, tenant, line):
    """The status of one push on a connection of its own."""
    body = json.dumps({"streams": [{"stream": {"app": tenant},
                                    "values": [[str(time.time_ns()), line]]}]})
    connection = harness.Http(port, timeout=60)
    status = connection.request("POST", "/loki/api/v1/push", body.encode(),
                                {"Content-Type": "application/json", "X-Scope-OrgID": tenant})[0]
    connection.close()
    return status


def test_tenants():
    server, port = Server(), free_port()
    agent = harness.Agent(f"""
server: {{disable: true}}
positions: {{filename: {harness.WORK}/positions-push.yaml}}
clients:
  - url: http://127.0.0.1:{server.server_address[1]}/loki/api/v1/push
    batchwait: 20ms
    backoff_config: {{min_period: 10ms, max_period: 100ms, max_retries: 0}}
scrape_configs:
  - job_name: push
    loki_push_api: {{server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}}}}}
""", name="agent-push")

    def is_up():
        try:
            return push(port, "calm", "first") == 204
        except OSError:
            return False

    wait_until("the receiver takes pushes", is_up)
    stop, answers = threading.Event(), []

    def hammer():
        while not stop.is_set():
            answers.append(push(port, "busy", "waits"))
            time.sleep(0.05)

    threads = [threading.Thread(target=hammer, daemon=True) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_until("the busy tenant's pushes are refused", lambda: 503 in answers)
    for i in range(20):
        equal(push(port, "calm", f"line {i}"), 204, "a push beside a busy tenant")
    check("busy" not in server.pushes and 204 not in answers, "the busy tenant is still busy")
    server.busy = set()
    wait_until("the busy tenant's pushes succeed", lambda: 204 in answers, 60)
    stop.set()
    for thread in threads:
        thread.join(60)
    equal(agent.stop(), 0, "the agent's exit code")


def test_syslog():
    one, two = harness.Skald(name="one", data_dir=harness.WORK + "/one"), \
        harness.Skald(name="two", data_dir=harness.WORK + "/two")
    port, lines = free_port(), 20000
    agent = harness.Agent(f"""
server: {{disable: true}}
positions: {{filename: {harness.WORK}/positions-syslog.yaml}}
clients:
  - {{url: '{one.url}/loki/api/v1/push', name: one, batchwait: 20ms}}
  - {{url: '{two.url}/loki/api/v1/push', name: two, batchwait: 20ms}}
scrape_configs:
  - job_name: syslog
    syslog: {{listen_address: '127.0.0.1:{port}', labels: {{job: syslog}}}}
""", name="agent-syslog")

    def connect():
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            return None

    sender = wait_until("the receiver listens", connect)
    two.kill()
    sent = [0]

    def send():
        for i in range(lines):    # hard to compress: it fills every queue
            noise = "".join(f"{(i * 7919 + k) * 2654435761 % 2**64:016x}" for k in range(64))
            sender.sendall(f"<165>1 - host app - - - {i} {noise}\n".encode())
            sent[0] += 1
        sender.close()

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    last = [-1, time.monotonic()]

    def is_held_back():
        if sent[0] != last[0]:
            last[:] = [sent[0], time.monotonic()]
        return time.monotonic() - last[1] > 3

    wait_until("the sender is held back", is_held_back, 60, 0.1)
    check(sent[0] < lines, "it has not sent all")
    two = harness.Skald(name="two", data_dir=harness.WORK + "/two", port=two.port)
    thread.join(60)
    for store in (one, two):
        count = lambda: sum(int(r["value"][1]) for r in store.http.json(
            "/loki/api/v1/query",
            query='sum(count_over_time({job="syslog"}[1h]))')["data"]["result"])
        wait_until(f"every line in {store.name}", lambda: count() >= lines, 60, 0.2)
        equal(count(), lines, f"lines in {store.name}")
    equal(agent.stop(), 0, "the agent's exit code")


def test():
    test_tenants()
    test_syslog()


if __name__ == "__main__":
    harness.run(test)
