#!/usr/bin/env python3
"""The end-to-end figures of this machine in one table: ingest, agent, disk, queries, restart.

usage: e2e_bench.py [--lines 400000 | --corpus DIR] [--seed 1] [--bin DIR] [--work DIR]
                    [--only ingest,queries,agent] [--json OUT]
--corpus takes an existing directory of pod-K.log (bench/gen_ngx.py 4000000 DIR is the size our
published figures have). Server and agent CPU are read from /proc/PID/stat before and after, so
cost at the sender does not count. "MB" is 10^6 bytes of raw lines without their newlines. Beside
each query stands the naive row engine of the differential tests (bench/naive_rows.cc) on one core,
over 100,000 of the lines and scaled to all.
"""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(REPO, "tests", "e2e"), os.path.join(REPO, "deploy", "demo"), HERE]
import gen_ngx  # noqa: E402
import harness  # noqa: E402
import venv_setup  # noqa: E402

CONFIG = """
limits_config:
  reject_old_samples: false
  retention_period: 0s
  max_query_length: 0s
"""
NAIVE_LINES = 100_000  # that the naive row engine sees; it is linear in them
FRESH_STARTS = 3
ABSENT_ID = "00000000-dead-4eef-adad-000000000000"


def queries(uuid):
    """(name, instant query): what people ask of six hours of logs."""
    job = '{job="ngx-api"}'
    count = lambda pipeline: f"sum(count_over_time({job} {pipeline}[12h]))"
    return [
        ("count: |= \"ERROR\"", count('|= "ERROR"')),
        ("count: |= started | json | tier=", count(
            '|= "conversation_started" | json | tier="hybrid_coaching"')),
        ("count: |= ml_prediction | json | duration>100", count(
            '|= "ml_prediction" | json | duration > 100')),
        ("quantile .95 of duration by method", f'quantile_over_time(0.95, {job} | json | '
         'event="http_request" | unwrap duration [12h]) by (method)'),
        ("count: |= <conversation uuid>", count(f'|= "{uuid}"')),
        ("count: |= <absent uuid>", count(f'|= "{ABSENT_ID}"')),
        ("count: |= <absent substring>", count('|= "zzq no such text"')),
        ("count: |~ Upstream(Timeout|Refused)", count('|~ "Upstream(Timeout|Refused)"')),
        ("sum by (level) (count_over_time)", f"sum by (level) (count_over_time({job}[12h]))"),
        # Nothing in these rules lines out beforehand.
        ("count by a group of | regexp", f'sum by (ev) (count_over_time({job} | regexp '
         '`"event": ?"(?P<ev>[^"]+)"` [12h]))'),
        ("count by a capture of | pattern", f'sum by (ev) (count_over_time({job} | pattern '
         '`<_>"event": "<ev>"<_>` [12h]))'),
        ("count: |~ without a literal", count('|~ `\\d{4}\\.\\d+`')),
    ]


def panels():
    """(name, query, step in seconds): what dashboards ask of the last six hours, point by point."""
    job = '{job="ngx-api"}'
    duration = f'{job} | json | event="http_request" | unwrap duration'
    return [
        ("panel: rate by level, 5m/15s", f"sum by (level) (rate({job}[5m]))", 15),
        ("panel: count by event, 1m/15s",
         f"sum by (event) (count_over_time({job} | json [1m]))", 15),
        ("panel: quantile .95 by method, 5m/15s",
         f"quantile_over_time(0.95, {duration} [5m]) by (method)", 15),
        ("panel: quantile .95 by method, 1h/15s",
         f"quantile_over_time(0.95, {duration} [1h]) by (method)", 15),
        ("panel: rate by label_format, 5m/15s",
         f"sum by (what) (rate({job} | json | label_format what=`{{{{.event}}}} {{{{.level}}}}` "
         "[5m]))", 15),
        ("panel: count behind line_format, 1m/1m",
         f"sum(count_over_time({job} | json | line_format `{{{{.event}}}}` |= \"ml_\" [1m]))", 60),
    ]


def disk_bytes(directory):
    return sum(os.path.getsize(os.path.join(d, f)) for d, _, files in os.walk(directory)
               for f in files)


def thread_seconds(pid):
    """CPU seconds of a process by the names of its threads."""
    out = {}
    for task in glob.glob(f"/proc/{pid}/task/*/stat"):
        try:
            with open(task, encoding="ascii", errors="replace") as f:
                text = f.read()
        except OSError:
            continue  # it ended meanwhile
        name = text[text.index("(") + 1:text.rindex(")")]
        fields = text[text.rindex(")") + 2:].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        out[name] = out.get(name, 0) + seconds
    return out


# What the threads of the server do during ingest.
STAGES = {
    "http-push": "decode, limits, hash, WAL record, commit",
    "store-seal": "shred, columns, zstd, parts",
    "store-upkeep": "merges",
}


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read())
    return f"{model[1] if model else os.uname().machine}, {os.cpu_count()} CPUs, Linux " \
           f"{os.uname().release}"


class Bench:
    def __init__(self, options):
        self.options, self.rows, self.values, self.rises = options, [], {}, []
        corpus = options.corpus or os.path.join(options.work,
                                                f"corpus-{options.lines}-{options.seed}")
        if not glob.glob(corpus + "/pod-*.log"):
            print(f"generating {corpus} ...", flush=True)
            gen_ngx.generate(options.lines, corpus, seed=options.seed)
        self.files = sorted(glob.glob(corpus + "/pod-*.log"))
        self.corpus = corpus
        with open(self.files[0], encoding="utf-8") as f:
            text = f.read(4 << 20)
        self.uuid = re.findall(r'"conversation_id": "([0-9a-f-]{36})"', text)[-1]
        end = re.findall(r'"timestamp": "([^"]+)"', self.last_lines())[-1]
        import oracle
        self.end_ns = oracle.timestamp_ns(end) + 60 * 10**9

    def last_lines(self):
        with open(self.files[-1], "rb") as f:
            f.seek(-min(65536, os.path.getsize(self.files[-1])), os.SEEK_END)
            return f.read().decode("utf-8", "replace")

    def row(self, name, value, unit, note=""):
        self.rows.append((name, value, unit, note))
        self.values[name] = value
        shown = f"{value:,.4f}" if abs(value) < 1 else f"{value:,.1f}"
        print(f"{name:52s} {shown:>12s} {unit:10s} {note}", flush=True)

    def bodies(self):
        path = os.path.join(self.options.work, "bodies-" + re.sub(r"\W+", "_", self.corpus) + ".bin")
        meta = path + ".json"
        if not os.path.exists(meta):
            print("encoding push bodies ...", flush=True)
            import push_bodies
            files = [(os.path.basename(p)[:-4], p) for p in self.files]
            raw = push_bodies.encode(path, files)
            with open(meta, "w", encoding="ascii") as f:
                json.dump({"raw": raw}, f)
        with open(meta, encoding="ascii") as f:
            return path, json.load(f)["raw"]

    def ingest(self):
        import push_bodies
        path, raw = self.bodies()
        self.data = os.path.join(self.options.work, "data")
        shutil.rmtree(self.data, ignore_errors=True)
        skald = harness.Skald(data_dir=self.data, config=CONFIG)
        before = harness.cpu_seconds(skald.pid)
        sent, wall = push_bodies.send(path, skald.port)
        cpu = harness.cpu_seconds(skald.pid) - before
        harness.equal(sent, raw, "raw bytes sent")
        self.row("ingest, fsync before ack", raw / 1e6 / cpu, "MB/s/core",
                 f"{raw / 1e6:.0f} MB in {wall:.1f} s wall, {cpu:.2f} s CPU")
        threads = thread_seconds(skald.pid)
        rest = sum(threads.values()) - sum(threads.get(name, 0) for name in STAGES)
        for name, what in STAGES.items():
            self.row(f"  of it {what}", threads.get(name, 0) / cpu * 100, "% of CPU", name)
        self.row("  of it sockets, HTTP, the rest", rest / cpu * 100, "% of CPU")
        self.row("ingest: peak memory", harness.memory_mb(skald.pid, "VmHWM"), "MB")
        before = harness.cpu_seconds(skald.pid)
        harness.forget_peak(skald.pid)
        for path in ("/flush", "/skald/v1/compact"):
            status, _, body = harness.Http(skald.port, timeout=600).request("POST", path)
            harness.check(status in (200, 204), f"{path}: {status} {body[:200]}")
        self.row("compaction: peak memory of the server", harness.memory_mb(skald.pid, "VmHWM"), "MB")
        total = harness.cpu_seconds(skald.pid) - before
        self.row("ingest with sealing and compaction", raw / 1e6 / (cpu + total), "MB/s/core",
                 f"flush and compaction took another {total:.2f} s CPU")
        size = disk_bytes(self.data)
        self.row("disk, all files, compacted", size / 1e6, "MB", f"of {raw / 1e6:.0f} MB raw")
        self.row("compression", raw / size, "x")
        return skald

    def naive_seconds(self):
        """CPU seconds of the naive row engine by query, scaled from its lines to all of them."""
        asked = queries(self.uuid)
        out = subprocess.run(
            [os.path.join(harness.BIN, "naive_rows"), str(NAIVE_LINES), *self.files], text=True,
            input="".join(query + "\n" for _, query in asked), stdout=subprocess.PIPE, check=True)
        lines, *seconds = map(float, out.stdout.split())
        total = sum(self.lines(path) for path in self.files)
        return {name: s * total / lines for (name, _), s in zip(asked, seconds, strict=True)}

    @staticmethod
    def lines(path):
        with open(path, "rb") as f:
            return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))

    def uncached(self, skald, query, step):
        """The matrix over the last six hours, evaluated as if nobody had asked before."""
        path = "/loki/api/v1/query_range?" + urllib.parse.urlencode({
            "query": query, "start": self.end_ns - 6 * 3600 * 10**9, "end": self.end_ns,
            "step": step})
        status, _, body = skald.http.request("GET", path, headers={"Cache-Control": "no-cache"})
        harness.equal(status, 200, path)
        return json.loads(body)

    def measure(self, skald, name, request, note):
        """CPU seconds of one evaluation: repeated until the 10 ms clock of /proc is fine enough.
        The peak of memory above what was resident is that of the first one."""
        harness.forget_peak(skald.pid)
        idle, started = harness.memory_mb(skald.pid, "VmRSS"), time.monotonic()
        first = request()
        first_wall = time.monotonic() - started
        rise = harness.memory_mb(skald.pid, "VmHWM") - idle
        self.rises.append(rise)
        before, runs, started = harness.cpu_seconds(skald.pid), 0, time.monotonic()
        while True:
            request()
            runs += 1
            cpu = harness.cpu_seconds(skald.pid) - before
            elapsed = time.monotonic() - started
            if (cpu >= 0.5 and runs >= 3) or elapsed > 20 or runs >= 1000:
                break
        self.row(name, cpu / runs, "CPU s", f"{note(first['data']['result'])}; "
                 f"{elapsed / runs * 1e3:.1f} ms wall, first {first_wall * 1e3:.1f} ms, +{rise:.1f} MB")

    def ask(self, skald):
        naive = self.naive_seconds()
        for name, query in queries(self.uuid):
            request = lambda: skald.http.json("/loki/api/v1/query", query=query, time=self.end_ns)
            self.measure(skald, name, request, lambda result: f"naive rows {naive[name]:.1f} s; "
                         f"answer {', '.join(r['value'][1][:12] for r in result[:4]) or 'none'}")
        for name, query, step in panels():
            request = lambda: self.uncached(skald, query, step)
            self.measure(skald, name, request, lambda result: f"{len(result)} series of "
                         f"{max((len(r['values']) for r in result), default=0)} points")
        self.row("queries: memory after", harness.memory_mb(skald.pid, "VmRSS"), "MB",
                 f"one took at most {max(self.rises):.1f} MB above what was there before")

    def ask_first(self):
        """The peak of memory above idle when a query is the first of its process: program text,
        pages of the store and what is parsed once count, too. The worst of some starts."""
        job = '{job="ngx-api"}'
        scan = ("count: | logfmt", f'sum(count_over_time({job} | logfmt | x="..." [12h]))')
        worst = []
        for name, query in queries(self.uuid) + [scan]:
            rises = [self.first_rise(query) for _ in range(FRESH_STARTS)]
            self.row(f"first: {name}", max(rises), "MB",
                     f"peak above idle, worst of {FRESH_STARTS} starts")
            worst.append(max(rises))
        self.row("first query of a process: peak above idle", max(worst), "MB", "of all of them")

    def first_rise(self, query):
        skald = harness.Skald(data_dir=self.data, config=CONFIG, name="fresh")
        time.sleep(0.3)  # what a start leaves to its threads
        harness.forget_peak(skald.pid)
        idle = harness.memory_mb(skald.pid, "VmRSS")
        skald.http.json("/loki/api/v1/query", query=query, time=self.end_ns)
        rise = harness.memory_mb(skald.pid, "VmHWM") - idle
        skald.stop()
        return rise

    def restart(self, skald):
        skald.kill()
        started = time.monotonic()
        skald = harness.Skald(data_dir=self.data, config=CONFIG, name="again")
        self.row("restart after kill -9: ready in", (time.monotonic() - started) * 1e3, "ms")
        self.row("memory after restart", harness.memory_mb(skald.pid, "VmRSS"), "MB")
        return skald

    def agent(self):
        data = os.path.join(self.options.work, "agent-data")
        logs = os.path.join(self.options.work, "agent-logs")
        for directory in (data, logs):
            shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(logs)
        for name in glob.glob(os.path.join(harness.WORK, "positions.yaml*")):
            os.remove(name)         # of an earlier run: the file would count as sent
        os.link(self.files[0], os.path.join(logs, "pod-0.log")) if os.stat(self.files[0]).st_dev \
            == os.stat(logs).st_dev else shutil.copy(self.files[0], logs)
        lines = self.lines(self.files[0])
        raw = os.path.getsize(self.files[0]) - lines
        skald = harness.Skald(data_dir=data, config=CONFIG, name="for-agent")
        config = harness.agent_config(skald.url, logs + "/*.log", {"job": "agent"}).replace(
            "batchwait: 100ms", "batchwait: 1s")
        started = time.monotonic()
        agent = harness.Agent(config)
        count = lambda: int(float((skald.http.json(
            "/loki/api/v1/query", time=self.end_ns, query='sum(count_over_time({job="agent"}[12h]))')
            ["data"]["result"] or [{"value": [0, "0"]}])[0]["value"][1]))
        harness.wait_until("the agent has shipped the file", lambda: count() >= lines, 600, 0.5)
        wall, cpu = time.monotonic() - started, harness.cpu_seconds(agent.pid)
        self.row("agent: read, json, labels, time, zstd, ship", raw / 1e6 / cpu, "MB/s/core",
                 f"{raw / 1e6:.0f} MB in {wall:.1f} s wall, {cpu:.2f} s CPU")
        self.row("agent: peak memory", harness.memory_mb(agent.pid, "VmHWM"), "MB")
        self.agent_egress(config, raw)
        before, started = harness.cpu_seconds(agent.pid), time.monotonic()
        time.sleep(10)
        self.row("agent: idle CPU", (harness.cpu_seconds(agent.pid) - before) /
                 (time.monotonic() - started) * 100, "%")
        binary = os.path.join(self.options.work, "agent-stripped")
        subprocess.run(["strip", "-o", binary, harness.program("skald-agent")], check=True)
        self.row("agent: stripped binary", os.path.getsize(binary) / 1e6, "MB")
        agent.stop()
        skald.stop()

    def agent_egress(self, config, raw):
        port = re.search(r"http_listen_port: (\d+)", config)[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text = response.read().decode()
        sent = sum(float(m) for m in re.findall(r"^promtail_sent_bytes_total\{[^}]*\} (\S+)$", text,
                                                re.M))
        if sent > 0:
            self.row("agent: raw bytes per byte sent", raw / sent, "x")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=400000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus")
    parser.add_argument("--bin", default=os.path.join(REPO, "build", "release", "bin"))
    parser.add_argument("--work", default=os.path.join(REPO, "build", "bench"))
    parser.add_argument("--only", default="ingest,queries,restart,agent")
    parser.add_argument("--json", help="write the figures to this file, too")
    options = parser.parse_args()
    os.makedirs(options.work, exist_ok=True)
    harness.BIN, harness.WORK = os.path.abspath(options.bin), options.work
    parts = options.only.split(",")
    print(f"machine: {machine()}\ncommand: {' '.join(sys.argv)}", flush=True)
    bench = Bench(options)
    print(f"corpus:  {bench.corpus}", flush=True)
    try:
        if {"ingest", "queries", "restart"} & set(parts):
            skald = bench.ingest()
            if "queries" in parts:
                bench.ask(skald)
            if "restart" in parts:
                skald = bench.restart(skald)
            skald.stop()
            if "queries" in parts:
                bench.ask_first()
        if "agent" in parts:
            bench.agent()
    finally:
        harness.kill_all()
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump({"machine": machine(), "corpus": bench.corpus, "figures": bench.values}, f,
                      indent=1)


if __name__ == "__main__":
    venv_setup.run_again_with(os.path.join(HERE, "requirements.txt"), "bench-venv")
    main()
