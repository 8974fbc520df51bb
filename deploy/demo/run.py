#!/usr/bin/env python3
"""make run: store and agent on real logs. Starts skald, a structlog program that writes log files
(ngx_demo.py) and skald-agent which tails them; waits until a first query answers; prints where
everything is. Ctrl-C stops writer, agent and store in that order and says what was stored.

usage: run.py [--bin DIR] [--data DIR] [--port 3100] [--rate 200] [--seconds 0] [--fresh]
"""
import argparse
import contextlib
import glob
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import venv_setup

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = venv_setup.REPO
QUERY = '{job="ngx-api"} |= "conversation_started" | json | tier="hybrid_coaching"'
LEVELS = 'sum by (level) (count_over_time({job="ngx-api"}[5m]))'
COUNT = 'sum(count_over_time({job="ngx-api"}[30d]))'


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--data", default=os.path.join(REPO, "data"))
    parser.add_argument("--port", type=int, default=3100)
    parser.add_argument("--rate", type=float, default=200, help="log lines a second")
    parser.add_argument("--seconds", type=float, default=0, help="stop by itself after these")
    parser.add_argument("--fresh", action="store_true", help="delete the data directory first")
    return parser.parse_args()


def refuse_a_taken_port(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError as error:
            sys.exit(f"127.0.0.1:{port} is not free ({error.strerror}); stop what listens there, "
                     f"or choose another port: make run PORT={port + 1}")


def ask(url, path, **params):
    query = url + path + ("?" + urllib.parse.urlencode(params) if params else "")
    with urllib.request.urlopen(query, timeout=30) as response:
        return json.load(response)


class Programs:
    """The three children, stopped in order: writer, agent (drains), store (flushes)."""

    def __init__(self, log_dir):
        self.log_dir, self.children = log_dir, []

    def start(self, name, argv):
        with open(os.path.join(self.log_dir, name + ".log"), "ab") as log:
            # Their own sessions: Ctrl-C reaches this program alone, which then stops them in order.
            child = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True)
        self.children.append((name, child))
        return child

    def dead(self):
        return [(n, c.returncode) for n, c in self.children if c.poll() is not None]

    def stop(self, name, timeout=30):
        for n, child in self.children:
            if n == name and child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(timeout)
                except subprocess.TimeoutExpired:
                    print(f"{name} did not stop within {timeout} s; killing it")
                    child.kill()
                    child.wait()

    def stop_all(self):
        for name, _ in reversed(self.children):
            self.stop(name)


def write_agent_config(path, url, logs, data):
    with open(os.path.join(HERE, "agent.yaml"), encoding="utf-8") as f:
        text = f.read()
    for key, value in (("URL", url), ("LOGS", logs), ("DATA", data)):
        text = text.replace("${" + key + "}", value)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def wait_for(what, programs, probe, timeout=60):
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(urllib.error.URLError, OSError):
            value = probe()
            if value:
                return value
        for name, code in programs.dead():
            log = os.path.join(programs.log_dir, name + ".log")
            with open(log, errors="replace", encoding="utf-8") as f:
                sys.exit(f"{name} ended with code {code}; {log} ends with:\n{f.read()[-2000:]}")
        if time.monotonic() > deadline:
            sys.exit(f"not within {timeout} s: {what}; see {programs.log_dir}/*.log")
        time.sleep(0.05)


def stored_lines(url):
    result = ask(url, "/loki/api/v1/query", query=COUNT)["data"]["result"]
    return int(float(result[0]["value"][1])) if result else 0


def written_lines(logs):
    total = 0
    for path in glob.glob(os.path.join(logs, "*.log")):
        with open(path, "rb") as f:
            total += sum(chunk.count(b"\n") for chunk in iter(lambda: f.read(1 << 20), b""))
    return total


def first_answer(url):
    """Three lines of the query's answer, newest first, once there are so many."""
    streams = ask(url, "/loki/api/v1/query_range", query=QUERY, limit=3)["data"]["result"]
    entries = sorted((v for s in streams for v in s["values"]), reverse=True)
    return [line for _, line in entries] if len(entries) == 3 else None


def levels(url):
    result = ask(url, "/loki/api/v1/query", query=LEVELS)["data"]["result"]
    return "  ".join(f'{r["metric"].get("level")} {r["value"][1]}' for r in result)


def report(url, answer, logs, programs):
    print(f"""
Skald is up.
  store        {url}  (Loki's API; add it to Grafana as a Loki data source)
  ready        {url}/ready
  metrics      {url}/metrics
  logs tailed  {os.path.relpath(logs)}/*.log  (written by structlog, deploy/demo/ngx_demo.py)
  output       {os.path.relpath(programs.log_dir)}/*.log

First query:   {QUERY}""")
    for line in answer:
        print("  " + line)
    print(f"""Lines by level: {LEVELS}
  {levels(url)}

Ask more:      build/release/bin/skaldctl query --addr {url} '{QUERY}'
               curl -sG {url}/loki/api/v1/query_range --data-urlencode 'query={QUERY}'
Ctrl-C stops everything.""", flush=True)


def wait_for_the_end(programs, seconds):
    stopping = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.append(True))
    deadline = time.monotonic() + seconds if seconds > 0 else None
    while not stopping and (deadline is None or time.monotonic() < deadline):
        if programs.dead():
            print("ended by itself:", ", ".join(f"{n} (code {c})" for n, c in programs.dead()))
            return 1
        time.sleep(0.1)
    return 0


def shut_down(programs, url, logs):
    """Stops writer and agent, compares what was written with what is stored, stops the store."""
    print("\nstopping ...")
    programs.stop("writer")
    written = written_lines(logs)
    deadline = time.monotonic() + 15
    while (stored := stored_lines(url)) < written and time.monotonic() < deadline:
        time.sleep(0.1)
    programs.stop("agent")
    stored = stored_lines(url)
    programs.stop("skald")
    print(f"{written} lines written, {stored} lines stored: "
          f"{'nothing lost' if stored == written else 'they DIFFER'}")
    return 0 if stored == written else 1


def main():
    options = arguments()
    refuse_a_taken_port(options.port)
    if options.fresh:
        shutil.rmtree(options.data, ignore_errors=True)
    python = venv_setup.python_with_requirements()
    demo = os.path.join(options.data, "demo")
    logs = os.path.join(demo, "logs")
    os.makedirs(logs, exist_ok=True)
    url = f"http://127.0.0.1:{options.port}"
    config = os.path.join(demo, "agent.yaml")
    write_agent_config(config, url, logs, demo)
    programs = Programs(demo)
    try:
        programs.start("skald", [os.path.join(options.bin, "skald"), "--data-dir",
                                 os.path.join(options.data, "store"),
                                 "--listen", f"127.0.0.1:{options.port}"])
        wait_for("the store is ready", programs,
                 lambda: urllib.request.urlopen(url + "/ready", timeout=5).status == 200)
        programs.start("agent", [os.path.join(options.bin, "skald-agent"), "--config", config])
        programs.start("writer", [python, os.path.join(HERE, "ngx_demo.py"), logs,
                                  "--rate", str(options.rate), "--seed", str(time.time_ns())])
        answer = wait_for("a first answer", programs, lambda: first_answer(url))
        report(url, answer, logs, programs)
        code = wait_for_the_end(programs, options.seconds)
        return shut_down(programs, url, logs) or code
    finally:
        programs.stop_all()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
