#!/usr/bin/env python3
"""What people and dashboards see of the agent: its flags (-check-syntax, --explain, -dry-run,
-inspect, -stdin, -version) and its pages (/ready, /metrics, /targets, /service-discovery, /config,
/reload), reloads by SIGHUP included.

usage: agent_surface_e2e.py --bin DIR
"""
import json
import os
import re
import signal
import subprocess

import harness
from harness import check, equal, free_port, wait_until

# Names that dashboards and alerts of Promtail use.
PROMTAIL_METRICS = """
promtail_read_bytes_total promtail_file_bytes_total promtail_read_lines_total
promtail_files_active_total promtail_targets_active_total promtail_targets_failed_total
promtail_encoded_bytes_total promtail_sent_bytes_total promtail_sent_entries_total
promtail_dropped_entries_total promtail_dropped_bytes_total promtail_mutated_entries_total
promtail_mutated_bytes_total promtail_batch_retries_total promtail_request_duration_seconds
promtail_config_reload_success_total promtail_config_reload_fail_total promtail_build_info
promtail_syslog_target_entries_total promtail_journal_target_lines_total
logentry_dropped_lines_total promtail_custom_levels
""".split()


def path(*parts):
    return os.path.join(harness.WORK, *parts)


def write(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


def config(url, port, extra="", stage_level="level", more_server=""):
    return f"""
server: {{http_listen_address: 127.0.0.1, http_listen_port: {port}, http_path_prefix: /agent,
         enable_runtime_reload: true{more_server}}}
positions: {{filename: {path('positions.yaml')}, sync_period: 200ms}}
target_config: {{sync_period: 300ms}}
clients:
  - url: {url}/loki/api/v1/push
    name: main
    batchwait: 50ms
    basic_auth: {{username: me, password: hunter2}}
scrape_configs:
  - job_name: app
    static_configs:
      - {{targets: [localhost], labels: {{job: app, __path__: {path('app-*.log')}}}}}
      - {{targets: [localhost], labels: {{job: elsewhere, __host__: other, __path__: /x}}}}
    pipeline_stages:
      - json: {{expressions: {{level: {stage_level}}}}}
      - labels: {{level: }}
      - drop: {{source: level, value: debug}}
      - metrics: {{levels: {{type: Counter, description: d, source: level, config: {{action: inc}}}}}}
{extra}"""


def run(args, stdin=b""):
    done = subprocess.run([harness.program("skald-agent"), *args], input=stdin, capture_output=True,
                          timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_flags():
    good = write("good.yaml", config("http://127.0.0.1:9", 0))
    for flag in ("-check-syntax", "--check-syntax", "-check-syntax=true"):
        code, out, _ = run(["-config.file", good, flag])
        equal((code, out), (0, "Valid config file! No syntax issues found\n"), flag)
    for text, message in ((config("http://127.0.0.1:9", 0, stage_level="'a['"), "json"),
                          (config("http://127.0.0.1:9", 0).replace("pipeline_stages", "pipline_stages"),
                           'unknown key; did you mean `pipeline_stages`'),
                          (config("http://127.0.0.1:9", 0) + "  - job_name: g\n    gelf: {}\n",
                           "gelf: not supported")):
        code, _, err = run(["-config.file", write("bad.yaml", text), "-check-syntax"])
        check(code == 1 and message in err and re.search(r"bad\.yaml:\d+: ", err),
              f"-check-syntax of a bad file: {code} {err}")
    code, out, _ = run(["--config", good, "--explain"])
    check(code == 0 and f"tails {path('app-*.log')}; labels: job=\"app\"" in out and
          "Sends to http://127.0.0.1:9/loki/api/v1/push" in out, f"--explain says {out}")
    code, out, err = run(["-config.file=" + good, "-stdin", "-dry-run", "-inspect"],
                         b'{"level":"info"}\n\n{"level":"debug"}\n{"level":"warn"}')
    equal(code, 0, "exit code of -stdin -dry-run")
    lines = [line.split("\t") for line in out.splitlines() if "\t" in line]
    host = os.uname().nodename
    equal([line[1:] for line in lines],
          [[f'{{hostname="{host}", job="stdin", level="info"}}', '{"level":"info"}'],
           [f'{{hostname="{host}", job="stdin", level="warn"}}', '{"level":"warn"}']],
          "entries of -dry-run")
    check(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", lines[0][0]), "time of -dry-run")
    for stage in ("json", "labels", "drop", "metrics"):
        check(f"[inspect: {stage} stage]" in err, f"-inspect shows {stage}")
    check("[inspect: drop stage]: dropped" in err, "-inspect shows what was dropped")
    equal(run(["-version"])[0], 0, "exit code of -version")
    equal(run(["-no-such-flag"])[0], 1, "exit code of an unknown flag")
    code, _, err = run(["-config.file", good, "-print-config-stderr", "-check-syntax"])
    check(code == 0 and "job_name: app" in err and "hunter2" not in err, "-print-config-stderr")


def test_environment():
    text = config("${URL:-http://nowhere:1}", 0).replace("job: app", "job: ${JOB}")
    file = write("env.yaml", text)
    done = subprocess.run([harness.program("skald-agent"), "-config.file", file,
                           "-config.expand-env=true", "-stdin", "-dry-run", "--explain"],
                          env={**os.environ, "JOB": "from-env"}, capture_output=True, timeout=60)
    check(b'job="from-env"' in done.stdout and b"http://nowhere:1/" in done.stdout,
          f"-config.expand-env: {done.stdout}")


def test_pages(page):
    status, headers, _ = page.get("/agent/")
    equal((status, headers.get("location")), (303, "/agent/targets"), "/")
    equal(page.get("/targets")[0], 404, "a page without the prefix")
    status, _, body = page.get("/agent/targets")
    check(status == 200 and b"app-1.log" in body and b"<html>" in body, "/targets")
    status, _, body = page.request("GET", "/agent/targets", None, {"Accept": "application/json"})
    files = [t for t in json.loads(body) if t["type"] == "File"]
    equal([(t["job"], t["path"], t["labels"]) for t in files],
          [("app", path("app-1.log"), {"job": "app", "filename": path("app-1.log")})],
          "/targets as JSON")
    status, _, body = page.request("GET", "/agent/service-discovery", None,
                                   {"Accept": "application/json"})
    dropped = [t["dropped"] for t in json.loads(body)]
    equal(sorted(dropped), ["", "wrong_host"], "targets of /service-discovery")
    check(b"wrong_host" in page.get("/agent/service-discovery")[2], "/service-discovery")
    status, _, body = page.get("/agent/config")
    check(status == 200 and b"job_name: app" in body and b"hunter2" not in body, "/config")


def test_metrics(page, url):
    text = page.get("/agent/metrics")[2].decode()
    for name in PROMTAIL_METRICS:
        check(re.search(rf"^# TYPE {name} (counter|gauge|histogram)$", text, re.M),
              f"/metrics has no {name}")
    for sample in (f'promtail_read_lines_total{{path="{path("app-1.log")}"}} 3',
                   'promtail_custom_levels{filename=', 'promtail_files_active_total 1',
                   f'promtail_sent_entries_total{{host="{url}"}} 2',
                   'logentry_dropped_lines_total{reason="drop_stage"} 1'):
        check(sample in text, f"/metrics lacks {sample}:\n{text}")
    for line in text.splitlines():
        check(re.fullmatch(r'# (HELP|TYPE) \S+ .+|[a-z_:A-Z0-9]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? \S+',
                           line), f"not the text format: {line}")


def test_reload(agent, page, skald, port):
    counter = lambda what: int(re.search(rf"^promtail_config_reload_{what}_total (\d+)$",
                                         page.get("/agent/metrics")[2].decode(), re.M)[1])
    status, _, body = page.get("/agent/reload")
    check(status == 500 and b"config has not changed" in body, f"an idle reload: {status} {body}")
    write("agent.yaml", config(skald.url, port, stage_level="'a['"))
    status, _, body = page.request("POST", "/agent/reload")
    check(status == 500 and b"agent.yaml:" in body, f"a broken reload: {status} {body}")
    with open(path("app-1.log"), "a") as f:
        f.write('{"level":"error"}\n')
    wait_until("it still tails after a refused reload",
               lambda: skald.http.entries('{job="app", level="error"}'))
    second = f"""
  - job_name: second
    static_configs: [{{labels: {{job: second, __path__: {path('second.log')}}}}}]
"""
    write("second.log", "hello\n")
    write("agent.yaml", config(skald.url, port, extra=second))
    equal(page.get("/agent/reload")[0], 200, "a good reload")
    wait_until("the new job's line", lambda: skald.http.entries('{job="second"}'))
    write("third.log", "there\n")
    write("agent.yaml", config(skald.url, port, extra=second.replace("second.log", "third.log")))
    os.kill(agent.pid, signal.SIGHUP)
    wait_until("what SIGHUP brought", lambda: len(skald.http.entries('{job="second"}')) == 2)
    equal(len(skald.http.entries('{job="app"}')), 3, "entries: a reload sends nothing twice")
    check(counter("success") >= 2, "successful reloads are counted")


def test():
    test_flags()
    test_environment()
    skald, port = harness.Skald(), free_port()
    page = harness.Http(port)
    agent = harness.Agent(config(skald.url, port))

    def ready():
        try:
            return page.get("/agent/ready")
        except OSError:
            return None

    status, _, body = wait_until("the port answers", ready)
    check(status == 500 and body.startswith(b"Not ready: Unable to find any logs to tail"),
          f"/ready without a file: {status} {body}")
    write("app-1.log", '{"level":"info"}\n{"level":"debug"}\n{"level":"warn"}\n')
    wait_until("/ready", lambda: ready()[0] == 200)
    equal(ready()[2], b"Ready\n", "/ready")
    wait_until("two lines", lambda: len(skald.http.entries('{job="app"}')) == 2)
    test_pages(page)
    test_metrics(page, f"127.0.0.1:{skald.port}")
    test_reload(agent, page, skald, port)
    equal(agent.stop(), 0, "the agent's exit code")
    equal(skald.stop(), 0, "the store's exit code")


if __name__ == "__main__":
    harness.run(test)
