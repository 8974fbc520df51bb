#!/usr/bin/env python3
"""Targets that are no plain tailed files, through the real agent into the real store: pushes with
structured metadata, syslog over TCP (both framings), TLS and UDP, compressed archives, files in UTF-16
and Latin-1, and, where the system can make one, a journal. Each line arrives once, again after the
agent was killed with -9 in between; and a label with too many values is demoted.

usage: agent_targets_e2e.py --bin DIR
"""
import bz2
import contextlib
import gzip
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import zlib

import certs
import harness
from harness import check, equal, free_port, wait_until

JOURNAL_REMOTE = shutil.which("systemd-journal-remote",
                              path="/lib/systemd:/usr/lib/systemd:" + os.environ.get("PATH", ""))


def path(*parts):
    return os.path.join(harness.WORK, *parts)


def write(name, data):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as f:
        f.write(data)


def configuration(url, ports, tls, with_journal):
    journal = f"""
  - job_name: journal
    journal: {{path: {path('journal')}, max_age: 240000h, labels: {{job: journal}}}}
    relabel_configs:
      - {{source_labels: [__journal__systemd_unit], target_label: unit}}
      - {{source_labels: [__journal_priority_keyword], target_label: level}}
""" if with_journal else ""
    return f"""
server: {{http_listen_address: 127.0.0.1, http_listen_port: {ports['http']}}}
positions: {{filename: {path('positions.yaml')}, sync_period: 200ms}}
target_config: {{sync_period: 500ms}}
skald: {{label_values_max: 20}}
clients:
  - url: {url}/loki/api/v1/push
    batchwait: 50ms
    backoff_config: {{min_period: 50ms, max_period: 200ms, max_retries: 0}}
scrape_configs:
  - job_name: push
    loki_push_api:
      server: {{http_listen_address: 127.0.0.1, http_listen_port: {ports['push']}}}
      labels: {{job: push}}
      use_incoming_timestamp: true
    relabel_configs:
      - {{source_labels: [secret], regex: yes, action: drop}}
  - job_name: syslog-tcp
    syslog:
      listen_address: 127.0.0.1:{ports['tcp']}
      label_structured_data: true
      use_incoming_timestamp: true
      max_message_length: 4096
      labels: {{job: syslog}}
    relabel_configs:
      - {{source_labels: [__syslog_message_hostname], target_label: host}}
      - {{source_labels: [__syslog_message_severity], target_label: level}}
      - {{source_labels: [__syslog_message_sd_mine_32473_code], target_label: code}}
  - job_name: syslog-tls
    syslog:
      listen_address: 127.0.0.1:{ports['tls']}
      tls_config: {{cert_file: {tls['cert']}, key_file: {tls['key']}, ca_file: {tls['ca']}}}
      labels: {{job: tls}}
  - job_name: syslog-udp
    syslog: {{listen_address: '127.0.0.1:{ports['udp']}', listen_protocol: udp, labels: {{job: udp}},
              syslog_format: rfc3164}}
    relabel_configs:
      - {{source_labels: [__syslog_message_app_name], target_label: app}}
  - job_name: gz
    decompression: {{enabled: true, format: gz, initial_delay: 100ms}}
    static_configs: [{{labels: {{job: gz, __path__: '{path('old')}/*.gz'}}}}]
  - job_name: zlib
    decompression: {{enabled: true, format: z}}
    static_configs: [{{labels: {{job: zlib, __path__: '{path('old')}/*.z'}}}}]
  - job_name: bz2
    decompression: {{enabled: true, format: bz2}}
    static_configs: [{{labels: {{job: bz2, __path__: '{path('old')}/*.bz2'}}}}]
  - job_name: utf16
    encoding: UTF-16
    static_configs: [{{labels: {{job: utf16, __path__: '{path('text')}/wide-*.log'}}}}]
  - job_name: latin1
    encoding: iso-8859-1
    static_configs: [{{labels: {{job: latin1, __path__: '{path('text')}/latin.log'}}}}]
  - job_name: many
    static_configs: [{{labels: {{job: many, __path__: '{path('text')}/many.log'}}}}]
    pipeline_stages:
      - json: {{expressions: {{id: id}}}}
      - labels: {{id: }}
{journal}"""


def lines_of(skald, job):
    return sorted(line for _, line, _ in skald.http.entries(f'{{job="{job}"}}'))


def arrived(skald, job, want):
    want = sorted(want)
    try:
        wait_until(f"{len(want)} lines of {job}", lambda: len(lines_of(skald, job)) >= len(want), 60)
    except harness.Failure:
        pass
    equal(lines_of(skald, job), want, f"lines of {job}")


def test_pushes(skald, ports):
    push = harness.Http(ports["push"])
    now = time.time_ns()
    status, body = push.push([({"app": "a"}, [(now, "one", {"trace": "t1"}), (now + 1, "two")]),
                              ({"app": "a", "secret": "yes"}, [(now, "hidden")])])
    equal((status, body), (204, b""), "answer to a push")
    status, _, _ = push.request("POST", "/promtail/api/v1/raw", b"raw 1\nraw 2\n")
    equal(status, 204, "answer to raw lines")
    arrived(skald, "push", ["one", "two", "raw 1", "raw 2"])
    found = skald.http.entries('{job="push"} | trace="t1"')
    equal([(e[0], e[1]) for e in found], [(now, "one")], "the entry with structured metadata")
    equal(push.request("POST", "/loki/api/v1/push", b"{", {"Content-Type": "application/json"})[0],
          400, "answer to a broken push")


SENT = int(time.time()) - 600          # what the syslog messages say


def syslog_line(number, host="web", text="message"):
    sent = time.strftime("%Y-%m-%dT%H:%M:%S.000006Z", time.gmtime(SENT))
    return (f'<165>1 {sent} {host} app 17 ID47 [mine@32473 code="c{number}"] '
            f'{text} {number}').encode()


def test_syslog(skald, ports):
    def stream(data, piece):
        with socket.create_connection(("127.0.0.1", ports["tcp"])) as s:
            for at in range(0, len(data), piece):
                s.sendall(data[at:at + piece])

    stream(b"".join(syslog_line(i) + b"\n" for i in range(100)), 7)
    counted = [syslog_line(i, "db", "two\nlines") for i in range(100)]
    counted.insert(50, b"<165>1 - - - - - - " + b"x" * 5000)     # over max_message_length
    stream(b"".join(str(len(m)).encode() + b" " + m for m in counted), 1000)
    arrived(skald, "syslog", [f"message {i}" for i in range(100)] +
            [f"two\nlines {i}" for i in range(100)])
    found = skald.http.entries('{job="syslog", host="db", level="notice", code="c7"}')
    equal([(ns, line) for ns, line, _ in found], [(SENT * 10**9 + 6000, "two\nlines 7")],
          "labels and time of a message")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for i in range(20):
            s.sendto(f"<34>Oct 11 22:14:{i:02d} mymachine su[7]: failed {i}".encode(),
                     ("127.0.0.1", ports["udp"]))
            time.sleep(0.002)
    arrived(skald, "udp", [f"failed {i}" for i in range(20)])
    check(skald.http.entries('{job="udp", app="su"}'), "the tag is the application's name")


def test_syslog_over_tls(skald, ports, authority, client):
    """Who shows no certificate, a stranger's, or no TLS at all delivers nothing."""
    def stream(data, cert=None, plain=False):
        with socket.create_connection(("127.0.0.1", ports["tls"])) as raw:
            if plain:
                raw.sendall(data)
                return
            context = ssl.create_default_context(cafile=authority.ca_file)
            if cert:
                context.load_cert_chain(*cert)
            with context.wrap_socket(raw, server_hostname="localhost") as s:
                for at in range(0, len(data), 997):
                    s.sendall(data[at:at + 997])
                with contextlib.suppress(OSError):
                    s.unwrap()         # so that nothing sent is cut off by the close

    bad = syslog_line(0, text="refused") + b"\n"
    for options in ({}, {"cert": certs.Authority("stranger").issue("stranger")}, {"plain": True}):
        with contextlib.suppress(OSError):
            stream(bad, **options)
    # More than one read of the agent, and records larger than what is left of one.
    stream(b"".join(syslog_line(i) + b"\n" for i in range(3000)), cert=client)
    arrived(skald, "tls", [f"message {i}" for i in range(3000)])


def make_files():
    os.makedirs(path("old"), exist_ok=True)
    os.makedirs(path("text"), exist_ok=True)
    wide = "".join(f"größe {i} Ċ𝄞\n" for i in range(500))     # U+010A: its bytes hold 0x0A
    write("text/wide-1.log", b"\xff\xfe" + wide.encode("utf-16-le"))
    write("text/wide-2.log", wide.encode("utf-16-be"))
    write("text/latin.log", "Käse\nfür\n".encode("latin-1"))
    write("text/many.log", b"".join(b'{"id":"v%d"}\n' % i for i in range(100)))
    write("old/a.z", zlib.compress(b"z 1\nz 2\nlast without newline"))
    write("old/a.bz2", bz2.compress(b"b 1\nb 2\n") + bz2.compress(b"b 3\n"))


def archive(name, count):
    return gzip.compress(b"".join(b"%s line %d\n" % (name.encode(), i) for i in range(count)))


def test_archives(skald, agent, config):
    """Two members in one file; a file still being written; a kill in the middle; a rename."""
    whole = archive("a", 20000) + archive("b", 10)
    write("old/app.log.1.gz", whole[:len(whole) // 2])
    wait_until("half of the archive", lambda: len(lines_of(skald, "gz")) > 1000)
    agent.kill()
    with open(path("old/app.log.1.gz"), "ab") as f:
        f.write(whole[len(whole) // 2:])
    agent = harness.Agent(config)
    wait_until("more of the archive", lambda: len(lines_of(skald, "gz")) > 12000)
    agent.kill()
    agent = harness.Agent(config)
    want = [f"a line {i}" for i in range(20000)] + [f"b line {i}" for i in range(10)]
    arrived(skald, "gz", want)
    os.rename(path("old/app.log.1.gz"), path("old/app.log.2.gz"))
    write("old/app.log.1.gz", archive("c", 3))
    arrived(skald, "gz", want + ["c line 0", "c line 1", "c line 2"])
    wait_until("the position is a count of lines, under the new name, as Promtail has it",
               lambda: 'app.log.2.gz: "20010"' in open(path("positions.yaml")).read())
    equal(agent.stop(), 0, "the agent's exit code")
    agent = harness.Agent(config)
    time.sleep(1.5)                      # several looks at the archives
    arrived(skald, "gz", want + ["c line 0", "c line 1", "c line 2"])
    arrived(skald, "zlib", ["z 1", "z 2", "last without newline"])
    arrived(skald, "bz2", ["b 1", "b 2", "b 3"])
    return agent


def journal_entries(first, count):
    """In the journal's export format."""
    now = int(time.time() * 1e6)
    return "".join(f"__REALTIME_TIMESTAMP={now + i}\n__MONOTONIC_TIMESTAMP={1000 + i}\n"
                   f"_BOOT_ID=0123456789abcdef0123456789abcdef\nPRIORITY=4\n"
                   f"_SYSTEMD_UNIT=app.service\nMESSAGE=entry {i}\n\n"
                   for i in range(first, first + count)).encode()


def add_journal(name, data):
    os.makedirs(path("journal"), exist_ok=True)
    done = subprocess.run([JOURNAL_REMOTE, "-o", path("journal", name), "-"], input=data,
                          capture_output=True)
    check(done.returncode == 0, f"systemd-journal-remote: {done.stderr[-500:]!r}")


def test_journal(skald, agent, config):
    arrived(skald, "journal", [f"entry {i}" for i in range(50)])
    check(skald.http.entries('{job="journal", unit="app.service", level="warning"}'),
          "labels of a journal entry")
    wait_until("the cursor is saved", lambda: "cursor-journal" in
               open(path("positions.yaml")).read())
    equal(agent.stop(), 0, "the agent's exit code")
    add_journal("b.journal", journal_entries(50, 50))
    agent = harness.Agent(config)
    arrived(skald, "journal", [f"entry {i}" for i in range(100)])
    return agent


def test_guard(skald, ports, agent):
    arrived(skald, "many", [json.dumps({"id": f"v{i}"}, separators=(",", ":")) for i in range(100)])
    series = skald.http.json("/loki/api/v1/series", **{"match[]": '{job="many"}'})["data"]
    equal(len(series), 21, "streams: twenty values and the rest")
    found = skald.http.entries('{job="many"} | id="v77"')
    equal(len(found), 1, "a demoted label is structured metadata")
    equal(agent.output().count("label `id` has more than 20 values"), 1, "warnings")
    metrics = harness.Http(ports["http"]).get("/metrics")[2].decode()
    check('skald_agent_label_demoted_entries_total{label="id"} 80\n' in metrics,
          "80 entries are counted")


def test():
    with_journal = JOURNAL_REMOTE is not None
    ports = {name: free_port() for name in ("http", "push", "tcp", "tls", "udp")}
    make_files()
    if with_journal:
        add_journal("a.journal", journal_entries(0, 50))
    skald = harness.Skald()
    authority = certs.Authority()
    cert, key = authority.issue("agent")
    tls = {"cert": cert, "key": key, "ca": authority.ca_file}
    config = configuration(skald.url, ports, tls, with_journal)
    agent = harness.Agent(config)
    wait_until("the agent is ready",
               lambda: "syslog syslog-udp" in agent.output() and agent.output().count("tailing") >= 4)
    test_guard(skald, ports, agent)
    test_pushes(skald, ports)
    test_syslog(skald, ports)
    test_syslog_over_tls(skald, ports, authority, authority.issue("sender"))
    wide = [f"größe {i} Ċ𝄞" for i in range(500)]
    arrived(skald, "utf16", wide + wide)
    arrived(skald, "latin1", ["Käse", "für"])
    agent = test_archives(skald, agent, config)
    if with_journal:
        agent = test_journal(skald, agent, config)
    metrics = harness.Http(ports["http"]).get("/metrics")[2].decode()
    check("promtail_syslog_target_entries_total 0\n" in metrics, "the syslog counter exists")
    targets = harness.Http(ports["http"]).request("GET", "/targets", None,
                                                  {"Accept": "application/json"})[2]
    kinds = {t["type"] for t in json.loads(targets)}
    check({"File", "syslog", "loki_push_api", "decompression"} <= kinds, f"/targets has {kinds}")
    equal(agent.stop(), 0, "the agent's exit code")
    equal(skald.stop(), 0, "the store's exit code")
    if not with_journal:
        print("no systemd-journal-remote here: the journal was not tried")


if __name__ == "__main__":
    harness.run(test)
