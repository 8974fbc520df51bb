#!/usr/bin/env python3
"""The agent in front of a real Loki, played by a small server that answers as Loki does: no marks,
snappy protobuf only, 429, 5xx, broken connections, and 400 for a part of a batch whose rest it
keeps. Every line arrives at least once, kill -9 of the agent included; what the server refuses for
good is dropped, counted and named; and a second client whose server is dead holds up nothing.

usage: agent_loki_e2e.py --bin DIR [--seed N]
"""
import argparse
import http.server
import os
import random
import re
import socketserver
import struct
import sys
import threading
import time

import harness
from harness import check, equal, free_port, wait_until


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def unsnappy(data):
    """The block format."""
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length = tag >> 2
            if length >= 60:
                count = length - 59
                length = int.from_bytes(data[at:at + count], "little")
                at += count
            out += data[at:at + length + 1]
            at += length + 1
            continue
        if tag & 3 == 1:
            length, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
            at += width
        for _ in range(length):
            out.append(out[-offset])
    equal(len(out), size, "size of a snappy body")
    return bytes(out)


def fields(data):
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        elif key & 7 == 1:
            value, at = struct.unpack_from("<q", data, at)[0], at + 8
        else:
            raise harness.Failure(f"wire type {key & 7}")
        yield key >> 3, value


def entries(body):
    """[(labels text, ns, line, {metadata})] of a PushRequest."""
    out = []
    for number, stream in fields(body):
        equal(number, 1, "field of a PushRequest (a Loki knows no other)")
        parts = list(fields(stream))
        labels = next(v.decode() for n, v in parts if n == 1)
        for n, entry in parts:
            if n != 2:
                continue
            line, ns, metadata = b"", 0, {}
            for m, value in fields(entry):
                if m == 1:
                    stamp = dict(fields(value))
                    ns = stamp.get(1, 0) * 10**9 + stamp.get(2, 0)
                elif m == 2:
                    line = value
                elif m == 3:
                    pair = dict(fields(value))
                    metadata[pair[1].decode()] = pair[2].decode()
            out.append((labels, ns, line.decode(), metadata))
    return out


class Loki(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, seed):
        super().__init__(("127.0.0.1", 0), Handler)
        self.random, self.lock = random.Random(seed), threading.Lock()
        self.faults, self.stored, self.answers, self.problems = True, [], {}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.problems.append(repr(error))

    def lines(self):
        with self.lock:
            return {line for _, _, line, _ in self.stored}

    def push(self, found):
        """Status and text; 0: no answer at all, though all is stored."""
        dice = self.random.random() if self.faults else 1
        if dice < 0.2:
            return 429, "ingestion rate limit exceeded for user fake (limit: 4194304 bytes/sec)"
        if dice < 0.4:
            return self.random.choice([500, 502, 503]), "at least 2 live replicas required"
        refused = [e for e in found if "poison" in e[2]]
        self.stored += [e for e in found if "poison" not in e[2]]
        if refused:
            return 400, f"entry for stream '{refused[0][0]}' has timestamp too old: 1970"
        return (0, "") if dice < 0.5 else (204, "")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        self.answer(404, "404 page not found\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server = self.server
        if self.path != "/loki/api/v1/push" or self.headers.get("Content-Encoding"):
            return self.answer(400, "unsupported")
        equal(self.headers["Content-Type"], "application/x-protobuf", "content type")
        equal(self.headers["X-Scope-OrgID"], "team", "tenant")
        found = entries(unsnappy(body))
        with server.lock:
            status, text = server.push(found)
            server.answers[status] = server.answers.get(status, 0) + 1
        if status == 0:
            self.close_connection = True
        else:
            self.answer(status, text)


def test():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options, _ = parser.parse_known_args(sys.argv[1:])
    print(f"seed {options.seed}")
    loki, port, dead = Loki(options.seed), free_port(), free_port()
    log = os.path.join(harness.WORK, "app.log")
    client = "batchwait: 20ms, batchsize: 4000, tenant_id: team, backoff_config: " \
             "{min_period: 10ms, max_period: 50ms, max_retries: 0}"
    config = f"""
server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}}}
positions: {{filename: {harness.WORK}/positions.yaml, sync_period: 100ms}}
clients:
  - {{url: 'http://127.0.0.1:{dead}/loki/api/v1/push', name: dead, {client}}}
  - {{url: 'http://127.0.0.1:{loki.server_address[1]}/loki/api/v1/push', name: loki, {client}}}
scrape_configs:
  - job_name: app
    static_configs: [{{labels: {{job: app, __path__: {log}}}}}]
    pipeline_stages:
      - regex: {{expression: 'id=(?P<id>[0-9]+)'}}
      - structured_metadata: {{id: }}
"""
    agent, want, number = harness.Agent(config), set(), 0
    with open(log, "a") as f:
        for round_ in range(30):
            for _ in range(100):
                want.add(f"id={number} {'x' * (number % 300)}")
                f.write(f"id={number} {'x' * (number % 300)}\n")
                number += 1
            f.flush()
            time.sleep(0.03)
            if round_ in (10, 20):
                agent.kill()
                agent = harness.Agent(config)
    wait_until("every line, beside a dead client", lambda: loki.lines() >= want, 60)
    equal(loki.lines() - want, set(), "lines nobody wrote")
    loki.faults = False
    with open(log, "a") as f:
        f.write("id=1 poison\nid=2 beside it\n")
    wait_until("the neighbour of a refused line", lambda: "id=2 beside it" in loki.lines(), 30)
    with open(log, "a") as f:
        f.write("id=3 after it\n")
    wait_until("the line after it", lambda: "id=3 after it" in loki.lines(), 30)
    metrics = harness.Http(port).get("/metrics")[2].decode()
    host = f"127.0.0.1:{loki.server_address[1]}"
    dropped = re.search(rf'^promtail_dropped_entries_total{{host="{host}",tenant="team",'
                        r'reason="ingester_error"} (\d+)$', metrics, re.M)
    check(dropped and 1 <= int(dropped[1]) <= 2, f"the refused batch is counted: {dropped}")
    check("entries dropped (ingester_error): HTTP 400: entry for stream" in agent.output(),
          "the log says why")
    check(f'skald_agent_exactly_once{{client="loki"}} 0' in metrics, "it is known to be a Loki")
    check({429, 0, 204} <= set(loki.answers) and set(loki.answers) & {500, 502, 503},
          f"the server answered in all its ways: {loki.answers}")
    equal(loki.problems, [], "requests the server did not understand")
    labels, ns, _, metadata = next(e for e in loki.stored if e[2].startswith("id=7 "))
    equal((labels, metadata), (f'{{filename="{log}", job="app"}}', {"id": "7"}), "an entry's form")
    check(abs(ns - time.time_ns()) < 300 * 10**9, "its time is when it was read")
    twice = len(loki.stored) - len(loki.lines())
    equal(agent.stop(60), 0, "the agent's exit code, one server being dead")
    print(f"{len(want)} lines, {twice} of them more than once (as at least once allows), "
          f"answers {loki.answers}")


if __name__ == "__main__":
    harness.run(test)
