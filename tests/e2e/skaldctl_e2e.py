#!/usr/bin/env python3
"""skaldctl against the real server: every command once, and its exit codes."""
import glob
import json
import os
import shutil
import subprocess
import time

import harness
from harness import check, equal

NOW = time.time_ns() // 10**6 * 10**6


def rfc3339(ns):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + f".{ns % 10**9:09d}Z"


LINES = [json.dumps({"event": f"e{i}", "level": "info" if i % 3 else "error", "n": i,
                     "timestamp": rfc3339(NOW - (1000 - i) * 10**6)}) for i in range(1000)]


def ctl(*arguments, code=0, stdin=None):
    done = subprocess.run([harness.program("skaldctl"), *arguments], capture_output=True,
                          timeout=60, check=False, input=stdin)
    check(done.returncode == code, f"skaldctl {' '.join(arguments)}: code {done.returncode}, "
          f"expected {code}: {done.stderr.decode()[:500]}")
    return done.stdout.decode(), done.stderr.decode()


def rules(addr):
    """check, test and list on our own rule files, on a broken one, and on the server's."""
    shipped = os.path.join(harness.REPO, "deploy", "rules")
    ctl("rules", "check", shipped)
    ctl("rules", "test", *sorted(glob.glob(shipped + "/tests/*_test.yaml")))
    check("VoiceSalesSilent" in ctl("rules", "list", shipped)[0], "rules list of files")
    broken = os.path.join(harness.WORK, "broken.yaml")
    with open(broken, "w", encoding="ascii") as f:
        f.write("groups:\n- name: g\n  rules:\n  - {alert: X, expr: 'rate({a='}\n")
    out, notes = ctl("rules", "check", broken, code=1)
    check("broken.yaml" in out + notes and "parse error" in out + notes, f"{out} {notes}")
    ctl("rules", "list", *addr)


def asking(addr):
    path = os.path.join(harness.WORK, "lines.log")
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(LINES) + "\n")
    _, notes = ctl("push", path, "--label", "job=ctl", "--label", "env=test", "--timestamp-key",
                   "timestamp", *addr)
    check("pushed 1000 lines" in notes, f"push said {notes!r}")
    out, _ = ctl("query", '{job="ctl"}', "--limit", "0", "--batch", "77", "--forward", "-o", "raw",
                 *addr)
    equal(out, "\n".join(LINES) + "\n", "all lines, oldest first")
    out, _ = ctl("query", '{job="ctl"} | json | n >= 990', "--limit", "5", "-o", "raw", *addr)
    equal(out, "\n".join(reversed(LINES[-5:])) + "\n", "the newest five")
    out, _ = ctl("query", '{job="ctl"} |= "\\"n\\": 7,"', "-o", "jsonl", *addr)
    entry = json.loads(out)
    equal((entry["line"], entry["labels"]["job"]), (LINES[7], "ctl"), "a line as JSON")
    want = rfc3339(NOW - 993 * 10**6)[:-1].rstrip("0").rstrip(".") + "Z"
    equal(entry["timestamp"], want, "its time")
    out, _ = ctl("instant", 'sum(count_over_time({job="ctl"}[5m]))', *addr)
    equal(json.loads(out)[0]["value"][1], "1000", "instant count")
    out, _ = ctl("labels", *addr)
    check({"job", "env"} <= set(out.split()), f"labels: {out}")
    equal(ctl("labels", "job", *addr)[0].split(), ["ctl"], "values of job")
    out, _ = ctl("series", '{env="test"}', *addr)
    check('job="ctl"' in out and 'env="test"' in out, f"series: {out}")
    out, _ = ctl("stats", '{job="ctl"}', *addr)
    stats = dict(line.split() for line in out.splitlines())
    equal(stats["entries"], "1000", "entries in stats")
    ctl("volume", '{job="ctl"}', *addr)


def mistakes(addr):
    _, err = ctl("query", "{job=", *addr, code=1)
    check("parse error" in err, f"a bad query: {err}")
    ctl("nonsense", code=2)
    _, err = ctl("query", '{a="b"}', "--addr", f"http://127.0.0.1:{harness.free_port()}", code=1)
    check("127.0.0.1" in err, f"no server: {err}")
    ctl("push", "/does/not/exist", *addr, code=1)


def tailing(addr):
    process = harness.spawn("tail", [harness.program("skaldctl"), "tail", '{job="tailed"}', "-o",
                                     "raw", "--since", "1m", *addr])
    time.sleep(0.5)
    ctl("push", "-", "--label", "job=tailed", *addr, stdin=b"one\ntwo\n")
    harness.wait_until("tailed lines", lambda: process.output() == "one\ntwo\n", timeout=10)
    process.kill()
    _, err = ctl("tail", "{job=", *addr, code=1)
    check("parse error" in err, f"tail of a bad query: {err}")


def keeping(skald, addr):
    ctl("flush", *addr)
    backup = os.path.join(harness.WORK, "backup")
    ctl("backup", backup, *addr)
    check(os.path.isdir(backup), "no backup directory")
    out, _ = ctl("delete", "list", *addr)
    equal(json.loads(out), [], "delete requests")
    ctl("delete", "create", '{job="ctl"} |= "e1"', "--since", "1h", *addr)
    requests = json.loads(ctl("delete", "list", *addr)[0])
    equal(len(requests), 1, "delete requests")
    want = [line for line in LINES if "e1" not in line]
    out, _ = ctl("query", '{job="ctl"}', "--limit", "0", "--forward", "-o", "raw", *addr)
    equal(out, "\n".join(want) + "\n", "lines after the delete")
    rules(addr)
    equal(skald.stop(), 0, "the store's exit code")
    out, _ = ctl("check", skald.data_dir, "--deep")
    check(" 0 damaged" in out, f"check: {out}")

    restored = os.path.join(harness.WORK, "restored")
    ctl("restore", backup, restored)
    second = harness.Skald(data_dir=restored, name="restored")
    out, _ = ctl("query", '{job="ctl"}', "--limit", "0", "--forward", "-o", "raw", "--addr",
                 second.url)
    equal(out, "\n".join(LINES) + "\n", "lines from the backup")
    equal(second.stop(), 0, "the restored store's exit code")
    shutil.rmtree(backup)


def test():
    skald = harness.Skald()
    addr = ("--addr", skald.url)
    asking(addr)
    mistakes(addr)
    tailing(addr)
    keeping(skald, addr)


if __name__ == "__main__":
    harness.run(test)
