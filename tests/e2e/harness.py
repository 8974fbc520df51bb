"""What every end-to-end test shares: real binaries on free loopback ports, HTTP, naive oracles.

A test is a script `tests/e2e/NAME_e2e.py`, run as `python NAME_e2e.py --bin DIR`. It exits with 0
or prints what failed and exits with 1. Everything it starts it starts through Skald, Agent or
spawn(), which are stopped (and their logs shown, if it failed) at the end. Standard library only;
the interpreter is the runner's virtual environment, in which structlog can be imported.
"""
import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = ""        # set by run()
WORK = ""       # this test's scratch directory, removed when it passed
_running = []


class Failure(Exception):
    """An expectation of the test did not hold."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(got, want, what):
    if got != want:
        raise Failure(f"{what}: got {str(got)[:1000]!r}, expected {str(want)[:1000]!r}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(name):
    path = os.path.join(BIN, name)
    check(os.access(path, os.X_OK), f"no program {path}: build it first")
    return path


class Process:
    """A child in its own session whose output goes to WORK/NAME.log."""

    def __init__(self, name, argv, env=None, stdin=None):
        self.name, self.argv = name, argv
        self.log_path = os.path.join(WORK, name + ".log")
        self.log = open(self.log_path, "ab")
        self.child = subprocess.Popen(argv, stdout=self.log, stderr=self.log, stdin=stdin,
                                      env={**os.environ, **(env or {})}, start_new_session=True)
        _running.append(self)

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child.poll() is None

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        if self.alive():
            self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self._forget()

    def stop(self, timeout=30):
        """SIGTERM; the exit code. Fails if it does not end in time."""
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.name} did not end within {timeout} s of SIGTERM")
        self._forget()
        return code

    def _forget(self):
        self.log.close()
        with contextlib.suppress(ValueError):
            _running.remove(self)

    def output(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")


def kill_all():
    """Every process that still runs."""
    for process in list(_running):
        process.kill()


def spawn(name, argv, **options):
    return Process(name, argv, **options)


class Http:
    """One connection to a server; reconnects after errors. `headers` go with every request."""

    def __init__(self, port, timeout=60, headers=None):
        self.port, self.timeout, self.connection = port, timeout, None
        self.headers = headers or {}

    def request(self, method, path, body=None, headers=None):
        """Status, headers (lower case), body bytes. Connection errors raise OSError."""
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port,
                                                         timeout=self.timeout)
        try:
            self.connection.request(method, path, body, {**self.headers, **(headers or {})})
            response = self.connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise OSError(f"{method} {path}: {error!r}") from error
        return response.status, {k.lower(): v for k, v in response.getheaders()}, data

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def get(self, path, **params):
        query = ("?" + urllib.parse.urlencode(params)) if params else ""
        return self.request("GET", path + query)

    def json(self, path, **params):
        status, _, body = self.get(path, **params)
        check(status == 200, f"GET {path} {params}: {status} {body[:300]!r}")
        return json.loads(body)

    def push(self, streams, headers=None):
        """streams: [({labels}, [(ns, line) or (ns, line, {metadata})])]; status and body."""
        document = {"streams": [{"stream": labels, "values":
                                 [[str(v[0]), v[1], *v[2:]] for v in values]}
                                for labels, values in streams]}
        status, _, body = self.request("POST", "/loki/api/v1/push", json.dumps(document).encode(),
                                       {"Content-Type": "application/json", **(headers or {})})
        return status, body

    def entries(self, query, start=None, end=None, limit=5000, direction="forward"):
        """All entries of a log query as [(ns, line, {stream labels})], page by page, in order.
        Default: the last twelve hours and the next one."""
        start = start if start is not None else time.time_ns() - 12 * 3600 * 10**9
        end = end if end is not None else time.time_ns() + 3600 * 10**9
        found, seen = [], set()
        while True:
            data = self.json("/loki/api/v1/query_range", query=query, start=start, end=end,
                             limit=limit, direction=direction)["data"]
            equal(data["resultType"], "streams", f"result type of {query}")
            page = [(int(v[0]), v[1], s["stream"]) for s in data["result"] for v in s["values"]]
            page.sort(key=lambda e: e[0])
            fresh = []
            counts = {}
            for ns, line, labels in page:
                key = (ns, line, json.dumps(labels, sort_keys=True))
                counts[key] = counts.get(key, 0) + 1
                if (key, counts[key]) not in seen:
                    fresh.append((ns, line, labels))
                    seen.add((key, counts[key]))
            found += fresh
            if len(page) < limit:
                return found
            check(fresh, f"more than {limit} entries share one timestamp in {query}")
            start = page[-1][0]
            seen = {k for k in seen if k[0][0] == start}


class Skald(Process):
    """The store's server. Ready when the constructor returns."""

    def __init__(self, data_dir=None, config=None, port=None, name="skald", args=(), wait=True):
        self.data_dir = data_dir or os.path.join(WORK, "data")
        self.port = port or free_port()
        argv = [program("skald"), "--data-dir", self.data_dir, "--listen",
                f"127.0.0.1:{self.port}"]
        if config is not None:
            path = os.path.join(WORK, name + ".yaml")
            with open(path, "w") as f:
                f.write(config)
            argv += ["--config", path]
        super().__init__(name, argv + list(args))
        self.http = Http(self.port)
        if wait:
            self.wait_ready()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def wait_ready(self, timeout=30):
        probe = Http(self.port, timeout=5)
        deadline = time.monotonic() + timeout
        while True:
            check(self.alive(), f"{self.name} ended:\n{self.output()[-3000:]}")
            with contextlib.suppress(OSError):
                if probe.get("/ready")[0] == 200:
                    break
            check(time.monotonic() < deadline, f"{self.name} is not ready after {timeout} s")
            time.sleep(0.01)
        probe.close()


class Agent(Process):
    """The agent with a configuration text (promtail's shape)."""

    def __init__(self, config, name="agent", args=()):
        path = os.path.join(WORK, name + ".yaml")
        with open(path, "w") as f:
            f.write(config)
        super().__init__(name, [program("skald-agent"), "--config", path, *args])


def agent_config(url, paths, labels=None, positions=None, extra_stages="", client=""):
    """promtail.yaml of a structlog service: json, level label, the line's own time."""
    labels = labels or {"job": "ngx-api"}
    static = "".join(f"          {k}: {v}\n" for k, v in labels.items())
    return f"""
server:
  http_listen_address: 127.0.0.1
  http_listen_port: {free_port()}
positions:
  filename: {positions or os.path.join(WORK, 'positions.yaml')}
  sync_period: 200ms
target_config:
  sync_period: 1s
clients:
  - url: {url}/loki/api/v1/push
    batchwait: 100ms
    backoff_config:
      min_period: 50ms
      max_period: 500ms
      max_retries: 0
{client}
scrape_configs:
  - job_name: app
    static_configs:
      - targets: [localhost]
        labels:
{static}          __path__: {paths}
    pipeline_stages:
      - json:
          expressions:
            level: level
            timestamp: timestamp
      - labels:
          level:
      - timestamp:
          source: timestamp
          format: RFC3339Nano
{extra_stages}"""


def wait_until(what, probe, timeout=30, period=0.05):
    """Calls probe() until it gives something true; that."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        check(time.monotonic() < deadline, f"not within {timeout} s: {what}")
        time.sleep(period)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, key):
    """MiB of a process: "VmRSS" is what is resident now, "VmHWM" its peak."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(key)) / 1024


def forget_peak(pid):
    """VmHWM starts again at what is resident now."""
    with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
        f.write("5")


def run(test):
    """Main program of a test: parses --bin, makes WORK, calls test(), cleans up."""
    global BIN, WORK
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.environ.get("SKALD_BIN") or
                        os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--keep", action="store_true", help="keep the scratch directory")
    options, sys.argv[1:] = parser.parse_known_args()
    BIN = os.path.abspath(options.bin)
    WORK = tempfile.mkdtemp(prefix="skald-e2e-")
    started, failed = time.monotonic(), True
    try:
        test()
        failed = False
    except Failure as failure:
        print(f"FAILED: {failure}")
    except Exception:   # the runner wants the logs below whatever went wrong
        traceback.print_exc()
    finally:
        kill_all()
        if failed:
            for name in sorted(os.listdir(WORK)):
                if name.endswith(".log"):
                    with open(os.path.join(WORK, name), errors="replace") as f:
                        print(f"--- {name} (its end)\n{f.read()[-2000:]}")
        if not options.keep:
            shutil.rmtree(WORK, ignore_errors=True)
    name = os.path.basename(sys.argv[0])
    print(f"{name}: {'failed' if failed else 'passed'} in {time.monotonic() - started:.1f} s")
    sys.exit(1 if failed else 0)
