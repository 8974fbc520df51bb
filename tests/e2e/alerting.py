"""Debian's Alertmanager and Prometheus as children of a test, on loopback; and a webhook to which
Alertmanager reports. With a web configuration both speak TLS and ask for credentials."""
import base64
import http.server
import json
import os
import shutil
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request

import harness
from harness import check, wait_until


def skip_without_programs():
    if not shutil.which("prometheus") or not shutil.which("prometheus-alertmanager"):
        print("skipped: prometheus and prometheus-alertmanager are not installed")
        sys.exit(77)


class Webhook:
    """Remembers the alerts that Alertmanager sends, each with the time it came at."""

    def __init__(self):
        told = self._told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                now = time.time()
                told.extend({**alert, "at": now} for alert in json.loads(body)["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/"

    def alerts(self):
        return list(self._told)


class _Server:
    """A program of the Prometheus family. `web`: text of its web configuration; `ca`, `cert`:
    files to reach it with (cert: certificate and key); `user`: (name, password)."""

    ready_path = "/-/ready"

    def __init__(self, name, argv, web=None, ca=None, cert=None, user=None):
        self.port = harness.free_port()
        self.url = f"http{'s' if web else ''}://127.0.0.1:{self.port}"
        self.context, self.user = None, user
        argv = argv + [f"--web.listen-address=127.0.0.1:{self.port}"]
        if web:
            path = os.path.join(harness.WORK, name + "-web.yml")
            write(path, web)
            argv.append(f"--web.config.file={path}")
            self.context = ssl.create_default_context(cafile=ca)
            if cert:
                self.context.load_cert_chain(*cert)
        self.process = harness.spawn(name, argv)

    def get(self, path):
        request = urllib.request.Request(self.url + path)
        if self.user:
            token = base64.b64encode(":".join(self.user).encode()).decode()
            request.add_header("Authorization", "Basic " + token)
        with urllib.request.urlopen(request, timeout=30, context=self.context) as answer:
            return answer.read()

    def json(self, path):
        return json.loads(self.get(path))

    def wait_ready(self):
        def ready():
            check(self.process.alive(), f"{self.process.name} ended:\n{self.process.output()[-2000:]}")
            try:
                self.get(self.ready_path)
            except OSError:
                return False
            return True
        wait_until(f"{self.process.name} ready", ready, 90, 0.1)


class Alertmanager(_Server):
    def __init__(self, hook=None, **options):
        path = os.path.join(harness.WORK, "alertmanager.yml")
        receiver = f"{{name: hook, webhook_configs: [{{url: '{hook.url}', send_resolved: true}}]}}" \
            if hook else "{name: hook}"
        write(path, "route: {receiver: hook, group_wait: 0s, group_interval: 1s, "
                    f"repeat_interval: 1h}}\nreceivers: [{receiver}]\n")
        super().__init__("alertmanager", [
            shutil.which("prometheus-alertmanager"), f"--config.file={path}",
            f"--storage.path={harness.WORK}/alertmanager", "--cluster.listen-address="], **options)


class Prometheus(_Server):
    """Takes remote writes; scrapes what `scrape` (text of scrape_configs) says."""

    def __init__(self, scrape="[]", **options):
        path = os.path.join(harness.WORK, "prometheus.yml")
        write(path, f"global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs: {scrape}\n")
        super().__init__("prometheus", [
            shutil.which("prometheus"), f"--config.file={path}",
            f"--storage.tsdb.path={harness.WORK}/prometheus",
            "--web.enable-remote-write-receiver"], **options)

    def query(self, text):
        answer = self.json("/api/v1/query?" + urllib.parse.urlencode({"query": text}))
        return answer["data"]["result"]


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
