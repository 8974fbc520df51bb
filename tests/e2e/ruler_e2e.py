#!/usr/bin/env python3
"""The ruler against a real Alertmanager and a real Prometheus, all on loopback.

    ruler_e2e.py --bin DIR

Starts alertmanager, prometheus (as a remote-write receiver) and skald; pushes errors; waits until the
alert is in Alertmanager and the recorded series in Prometheus; stops the errors; waits until the alert
is resolved; restarts skald while an alert is pending. Needs Debian's packages prometheus and
prometheus-alertmanager; exits 77 (skipped) without them.
"""
import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

INTERVAL = 2.0
RULES = """
groups:
  - name: e2e
    interval: 2s
    rules:
      - alert: Errors
        expr: sum by (app) (count_over_time({app="shop"} |= "error" [6s])) > 2
        labels: {severity: critical}
        annotations: {summary: '{{ $labels.app }} had {{ $value }} errors'}
      - record: app:errors:count
        expr: sum by (app) (count_over_time({app="shop"} |= "error" [6s]))
      - alert: Pending
        expr: sum by (app) (count_over_time({app="shop"}[1h])) > 0
        for: 1h
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def wait_for(what, check, seconds):
    end = time.monotonic() + seconds
    last = None
    while time.monotonic() < end:
        try:
            last = check()
            if last:
                return last
        except (urllib.error.URLError, OSError, ValueError) as error:
            last = error
        time.sleep(0.1)
    raise SystemExit(f"FAILED: {what} did not happen within {seconds} s; last: {last}")


def push(base, lines):
    now = time.time_ns()
    values = [[str(now + i), line] for i, line in enumerate(lines)]
    body = json.dumps({"streams": [{"stream": {"app": "shop"}, "values": values}]}).encode()
    request = urllib.request.Request(base + "/loki/api/v1/push", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=5).read()


class Procs:
    def __init__(self, log_dir):
        self.procs, self.log_dir = {}, log_dir

    def start(self, name, args, cwd):
        log = open(os.path.join(self.log_dir, name + ".log"), "ab")
        self.procs[name] = subprocess.Popen(args, stdout=log, stderr=subprocess.STDOUT, cwd=cwd)

    def stop(self, name):
        proc = self.procs.pop(name)
        proc.send_signal(signal.SIGTERM)
        try:
            proc.wait(20)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()

    def stop_all(self):
        for name in list(self.procs):
            self.stop(name)


def run(bin_dir, root, procs):
    am_port, prom_port, skald_port = free_port(), free_port(), free_port()
    alertmanager, prometheus = f"http://127.0.0.1:{am_port}", f"http://127.0.0.1:{prom_port}"
    skald = f"http://127.0.0.1:{skald_port}"
    os.makedirs(f"{root}/rules/fake")
    files = {
        "am.yaml": "route: {receiver: none, group_wait: 0s}\nreceivers: [{name: none}]\n",
        "prom.yaml": "global: {scrape_interval: 1h}\n",
        "rules/fake/e2e.yaml": RULES,
        "skald.yaml": f"""
ruler:
  evaluation_interval: 2s
  external_url: http://grafana.example
  external_labels: {{cluster: e2e}}
  storage: {{type: local, local: {{directory: {root}/rules}}}}
  alertmanager_url: {alertmanager}
  resend_delay: 5s
  remote_write: {{enabled: true, clients: {{prom: {{url: "{prometheus}/api/v1/write"}}}}}}
""",
    }
    for name, text in files.items():
        with open(f"{root}/{name}", "w") as out:
            out.write(text)
    procs.start("alertmanager", [shutil.which("prometheus-alertmanager"), f"--config.file={root}/am.yaml",
                                 f"--storage.path={root}/am", f"--web.listen-address=127.0.0.1:{am_port}",
                                 "--cluster.listen-address="], root)
    procs.start("prometheus", [shutil.which("prometheus"), f"--config.file={root}/prom.yaml",
                               f"--storage.tsdb.path={root}/prom", "--web.enable-remote-write-receiver",
                               f"--web.listen-address=127.0.0.1:{prom_port}"], root)

    def start_skald():
        procs.start("skald", [f"{bin_dir}/skald", "--data-dir", f"{root}/data", "--listen",
                              f"127.0.0.1:{skald_port}", "--config", f"{root}/skald.yaml"], root)
        wait_for("skald ready", lambda: get(skald + "/ready"), 30)

    start_skald()
    wait_for("alertmanager ready", lambda: get(alertmanager + "/-/ready") is not None, 60)
    wait_for("prometheus ready", lambda: get(prometheus + "/-/ready"), 60)

    def alert(active):
        found = [a for a in json.loads(get(alertmanager + f"/api/v2/alerts?active={str(active).lower()}"))
                 if a["labels"]["alertname"] == "Errors"]
        return found[0] if found else None

    push(skald, ["error one", "error two", "error three", "fine"])
    written = time.monotonic()
    fired = wait_for("the alert in Alertmanager", lambda: alert(True), 30)
    delay = time.monotonic() - written
    print(f"alert after {delay:.2f} s (interval {INTERVAL} s)")
    assert delay <= INTERVAL + 1.0, f"the alert came {delay:.2f} s after the line"
    assert fired["labels"] == {"alertname": "Errors", "app": "shop", "severity": "critical",
                               "cluster": "e2e"}, fired["labels"]
    assert fired["annotations"]["summary"] == "shop had 3 errors", fired["annotations"]
    assert fired["generatorURL"].startswith("http://grafana.example/explore?left="), fired["generatorURL"]

    def series(query):
        answer = json.loads(get(prometheus + "/api/v1/query?query=" + urllib.parse.quote(query)))
        return answer["data"]["result"]

    recorded = wait_for("the recorded series in Prometheus",
                        lambda: series("max_over_time(app:errors:count[1m])"), 30)
    assert recorded[0]["metric"] == {"app": "shop"} and recorded[0]["value"][1] == "3", recorded
    wait_for("ALERTS in Prometheus", lambda: series('ALERTS{alertname="Pending",alertstate="pending"}'), 30)

    def own():
        query = urllib.parse.quote('last_over_time({__name__="app:errors:count"} | logfmt | unwrap value [1m])')
        return json.loads(get(skald + "/loki/api/v1/query?query=" + query))["data"]["result"]

    wait_for("the recorded series in skald", own, 30)

    wait_for("the alert resolved", lambda: alert(True) is None, 40)
    print("resolved")

    def pending():
        for a in json.loads(get(skald + "/prometheus/api/v1/alerts"))["data"]["alerts"]:
            if a["labels"]["alertname"] == "Pending":
                return a
        return None

    before = wait_for("a pending alert", pending, 10)["activeAt"]
    procs.stop("skald")
    start_skald()
    after = wait_for("the pending alert after the restart", pending, 10)["activeAt"]
    age_lost = abs(stamp(after) - stamp(before))
    print(f"pending alert restored; activeAt moved by {age_lost:.1f} s (the downtime)")
    assert age_lost < 20, (before, after)
    metrics = get(skald + "/metrics")
    assert "loki_prometheus_rule_evaluations_total" in metrics


def stamp(text):
    main, _, fraction = text.rstrip("Z").partition(".")
    return time.mktime(time.strptime(main, "%Y-%m-%dT%H:%M:%S")) + float("0." + (fraction or "0"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bin", required=True, help="folder of the built programs")
    options = parser.parse_args()
    if not shutil.which("prometheus") or not shutil.which("prometheus-alertmanager"):
        print("skipped: prometheus and prometheus-alertmanager are not installed")
        sys.exit(77)
    root = tempfile.mkdtemp(prefix="skald-ruler-e2e-")
    procs = Procs(root)
    try:
        run(os.path.abspath(options.bin), root, procs)
        print("OK")
    except BaseException:
        for name in ("skald", "alertmanager", "prometheus"):
            path = os.path.join(root, name + ".log")
            if os.path.exists(path):
                print(f"--- {name}", open(path, errors="replace").read()[-3000:], sep="\n")
        raise
    finally:
        procs.stop_all()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
