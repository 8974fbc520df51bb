#!/usr/bin/env python3
"""Bad input: broken JSON lines come back as they are and are marked, malformed and oversized bodies
are refused with a text, bad neighbours do not sink good entries, and a configuration's unknown key
is named with its line, by both programs.
"""
import json
import os
import subprocess
import time
import zlib

import harness
from harness import check, equal, wait_until

NOW = time.time_ns()
LINES = [
    '{"event": "good", "level": "info", "n": 1}',
    '{"event": "cut off", "level": "in',
    'plain text, no JSON at all',
    '{"dup": 1, "dup": 2, "level": "info"}',
    '{"odd \\u00e9scape": "\\ud83d\\ude00", "tab": "\\t"}',
    '{"a":1}{"b":2}',
    '[1, 2, 3]',
    '   {"leading": "spaces"}   ',
    'ünïcödé ☃ \x7f \x01 control',
    '',
    '{"nested": {"deep": [1, {"x": null}]}, "n": 1e400}',
]


def broken_lines(skald):
    values = [(NOW + i, line) for i, line in enumerate(LINES)]
    equal(skald.http.push([({"job": "broken"}, values)]), (204, b""), "push of broken lines")
    got = [(ns, line) for ns, line, _ in skald.http.entries('{job="broken"}')]
    want = [(ns, line) for ns, line in values if line != ""]   # Loki keeps no empty line's text
    equal([e for e in got if e[1] != ""], want, "the lines as stored")
    marked = {line for _, line, labels in skald.http.entries('{job="broken"} | json')
              if labels.get("__error__") == "JSONParserErr"}
    check({LINES[1], LINES[2]} <= marked, f"marked as broken: {marked}")
    check(LINES[0] not in marked and LINES[3] not in marked, f"good lines are marked: {marked}")
    clean = {line for _, line, _ in skald.http.entries('{job="broken"} | json | __error__=""')}
    check(LINES[0] in clean and LINES[2] not in clean, f"lines without an error: {clean}")


def refused_bodies(skald):
    push = lambda body, kind, **headers: skald.http.request(
        "POST", "/loki/api/v1/push", body, {"Content-Type": kind, **headers})
    for name, body, kind, headers in [
            ("no JSON", b"{", "application/json", {}),
            ("wrong types", b'{"streams": 1}', "application/json", {}),
            ("numeric time", b'{"streams":[{"stream":{"a":"b"},"values":[[1,"x"]]}]}',
             "application/json", {}),
            ("labels with a bad name", b'{"streams":[{"stream":{"a b":"c"},"values":[["1","x"]]}]}',
             "application/json", {}),
            ("no snappy", b"\xff\xff\xff\xff\xff", "application/x-protobuf", {}),
            ("no gzip", b"xxxx", "application/json", {"Content-Encoding": "gzip"}),
            ("unknown encoding", b"{}", "application/json", {"Content-Encoding": "br"}),
            ("no content type", b"{}", "nonsense/", {})]:
        status, _, text = push(body, kind, **headers)
        check(status == 400 and len(text.strip()) > 5, f"{name}: {status} {text[:200]}")
    status, _, text = push(b'{"streams": []}', "application/json")
    check(status == 422 and text, f"no streams: {status} {text[:200]}")
    check(skald.alive(), "the store died of a bad body")


def oversized_bodies(skald):
    """A body that unfolds beyond the cap, and one whose length alone is too much."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(bomb.compress(b" " * (1 << 20)) for _ in range(512)) + bomb.flush()
    status, _, text = skald.http.request("POST", "/loki/api/v1/push", data,
                                         {"Content-Type": "application/json",
                                          "Content-Encoding": "gzip"})
    check(status == 413 and text, f"bomb of 512 MiB: {status} {text[:200]}")
    peak = harness.memory_mb(skald.pid, "VmHWM")
    check(peak < 256, f"peak memory after the bomb: {peak:.0f} MiB")
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", skald.port, timeout=10)
    connection.putrequest("POST", "/loki/api/v1/push")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(4 << 30))
    connection.endheaders()
    response = connection.getresponse()
    equal(response.status, 413, "a Content-Length of 4 GiB")
    connection.close()


def good_neighbours(skald):
    streams = [({"job": "mixed"}, [(NOW, "good"), (NOW + 365 * 86400 * 10**9, "far future")])]
    status, text = skald.http.push(streams)
    check(status == 400 and b"timestamp too new" in text, f"far future: {status} {text[:200]}")
    equal([line for _, line, _ in skald.http.entries('{job="mixed"}')], ["good"], "kept entries")


def bad_queries(skald):
    for query, text in [("{job=", b"parse error"), ("{}", b"parse error"), ("", b"parse error"),
                        ('{job="a"} | nonsense ~ "', b"parse error"),
                        ('rate({job="a"}[5m]', b"parse error"),
                        ('{job="a"} |~ "("', b"error"), ("(" * 10000, b"")]:
        status, headers, body = skald.http.get("/loki/api/v1/query_range", query=query)
        check(status == 400 and body.strip() and text in body,
              f"query {query[:40]!r}: {status} {body[:200]}")
    check(skald.alive(), "the store died of a bad query")


def unknown_keys():
    """Key and line are named; the program ends at once with an error."""
    path = os.path.join(harness.WORK, "bad.yaml")
    with open(path, "w", encoding="ascii") as f:
        f.write("auth_enabled: false\nlimits_config:\n  retention_perod: 24h\n")
    done = subprocess.run([harness.program("skald"), "--data-dir", harness.WORK + "/bad", "--listen",
                           f"127.0.0.1:{harness.free_port()}", "--config", path],
                          capture_output=True, timeout=20, check=False)
    text = (done.stdout + done.stderr).decode()
    check(done.returncode != 0 and "retention_perod" in text and
          ("line 3" in text or ":3" in text), f"skald said (code {done.returncode}): {text[:500]}")
    with open(path, "w", encoding="ascii") as f:
        f.write(harness.agent_config("http://127.0.0.1:1", "/nowhere/*.log")
                .replace("    batchwait:", "    batchwaitt:"))
    line = next(i for i, text in enumerate(open(path, encoding="ascii"), 1) if "batchwaitt" in text)
    done = subprocess.run([harness.program("skald-agent"), "--config", path, "--check-syntax"],
                          capture_output=True, timeout=20, check=False)
    text = (done.stdout + done.stderr).decode()
    check(done.returncode != 0 and "batchwaitt" in text and
          (f"line {line}" in text or f":{line}" in text),
          f"skald-agent said (code {done.returncode}): {text[:500]}")


def broken_lines_through_the_agent(skald):
    logs = os.path.join(harness.WORK, "logs")
    os.makedirs(logs)
    raw = [line.encode() for line in LINES if line] + [b"bytes \xff\xfe that are no UTF-8"]
    with open(os.path.join(logs, "app.log"), "wb") as f:
        f.write(b"\n".join(raw) + b"\n")
    agent = harness.Agent(harness.agent_config(skald.url, logs + "/*.log", {"job": "agent"}))
    wait_until("all lines stored", lambda: len(skald.http.entries('{job="agent"}')) >= len(raw))
    got = sorted(line for _, line, _ in skald.http.entries('{job="agent"}'))
    want = sorted(line.decode("utf-8", "replace") for line in raw)
    equal([g for g in got if "UTF-8" not in g], [w for w in want if "UTF-8" not in w],
          "lines through the agent")
    equal(agent.stop(), 0, "the agent's exit code")


def test():
    skald = harness.Skald()
    broken_lines(skald)
    refused_bodies(skald)
    oversized_bodies(skald)
    good_neighbours(skald)
    bad_queries(skald)
    broken_lines_through_the_agent(skald)
    equal(skald.stop(), 0, "the store's exit code")
    unknown_keys()


if __name__ == "__main__":
    harness.run(test)
