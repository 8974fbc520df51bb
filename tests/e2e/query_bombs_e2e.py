#!/usr/bin/env python3
"""Queries made to hurt: regular expressions that explode, patterns of 1 MB, 10,000 nested
parentheses, lists and chains without end, templates that print for ever. Each is refused, or
answered like any other, with little work and memory, as a query and by the formatter; the store
goes on. A query whose client leaves, or whose time is over, stops.

The promise is 1 s and 64 MB. Work is told as the server's CPU time, which other programs of a busy
machine do not stretch as they do the clock; machines that run tests are slow all the same.
SKALD_SHOW_BOMBS=1 prints each.
"""
import json
import os
import socket
import time
import urllib.parse

import harness
from harness import check, equal

CPU_SECONDS_MAX = 4
MEMORY_MAX_MB = 64
NOW = time.time_ns()
HOUR = 3600 * 10**9
JOB = '{job="bombs"}'


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'



def regex(text):
    return f"{JOB} |~ {quoted(text)}"


def names(count):
    return ",".join(f"name{i}" for i in range(count))


def regex_bombs():
    big = ["(?i)[\\pL\\pN]{%d}x" % (200 + i) for i in range(100)]
    yield "nested repetition", regex("((a{0,100}){0,100}){0,100}")
    yield "repetition of classes", regex("(\\pL{100}){9}")
    yield "repeated repetition", regex("(x+x+)+y")
    yield "case-insensitive class", regex("(?i)" + "[a-z]{1,200}" * 20)
    yield "many stars", regex(".*" * 2000 + "=")
    yield "many alternatives", regex("|".join(f"word{i}[0-9]+x" for i in range(5000)))
    yield "20,000 words", regex("(?i)" + "|".join(f"z{i}" for i in range(9000)))
    yield "60 kB of groups", regex("(a|b)" * 12000)
    yield "nested groups", regex("(" * 10000 + "a" + ")" * 10000)
    yield "a pattern of 1 MB", regex("ab" * (1 << 19))
    yield "a line filter of 1 MB", f'{JOB} |= "{"x" * (1 << 20)}"'
    yield "many expressions", JOB + ' |~ "(a{0,500}b){0,2}c"' * 200
    yield "different expressions", JOB + "".join(f' |~ "(a{{0,{300 + i}}}b){{0,2}}c"'
                                                 for i in range(200))
    yield "a thousand letters", regex("\\pL{1000}")
    yield "a thousand letters, often", (JOB + " |~ " + quoted("\\pL{1000}")) + 100 * (
        " |~ " + quoted("\\pL{1000}x"))
    yield "classes of case", regex("(?i)[\\pL\\pN]{300}x")
    yield "a hundred classes", JOB + "".join(" |~ " + quoted(text) for text in big)
    yield "classes in conditions", JOB + " | json" + "".join(f" | event=~{quoted(text)}"
                                                             for text in big)
    yield "classes in drop", JOB + " | drop " + ",".join(f"event=~{quoted(text)}" for text in big)
    yield "classes in matchers", ('{job="bombs",' +
                                  ",".join(f"job=~{quoted(text)}" for text in big) + "}")
    yield "classes in label_replace", (
        "label_replace(" * 50 + f"rate({JOB}[1h])" +
        "".join(f',"x","$1","job",{quoted("(" + text + ")")})' for text in big[:50]))
    yield "states without end", regex("[ab].{0,900}[xyz]q")
    yield "label expression", f"{JOB} | json | event=~{quoted('((a{0,100}){0,100}){0,100}')}"
    yield "stream expression", '{job=~"((a{0,100}){0,100}){0,100}"}'
    yield "regexp parser", f"{JOB} | regexp {quoted('(?P<x>(a{0,200}){0,200})')}"
    yield "10,000 groups", f"{JOB} | regexp " + quoted("".join(f"(?P<g{i}>.*)"
                                                               for i in range(9000)))
    yield "500 groups", f"{JOB} | regexp " + quoted("".join(f"(?P<g{i}>.*)" for i in range(500)))
    yield "replacement", (f'label_replace(label_replace(rate({JOB}[1h]),"x","{"$1" * 20000}","job",'
                          f'"(.*)"),"y","{"$1" * 20000}","x","(.*)")')
    yield "500 parsers by expression", JOB + ' | regexp "(?P<a>.*)u(?P<b>.*)"' * 400
    yield "100 groups, often", JOB + (" | regexp " + quoted("".join(
        f"(?P<a{i}>.?)" for i in range(99)))) * 100
    yield "doubling replacement", ("label_replace(" * 60 + f"rate({JOB}[1h])" +
                                   ',"job","$1$1","job","(.*)")' * 60)


def nesting_bombs():
    rate = f"rate({JOB}[5m])"
    yield "open parentheses", "(" * 10000
    yield "nested parentheses", "(" * 10000 + rate + ")" * 10000
    yield "nested sums", "sum(" * 10000 + rate + ")" * 10000
    yield "nested conditions", f"{JOB} | " + "(" * 10000 + "a=1" + ")" * 10000
    yield "nested operators", "1+(" * 10000 + "1" + ")" * 10000
    yield "nested vectors", "vector(" * 10000 + "1" + ")" * 10000
    yield "nested replacements", ("label_replace(" * 3000 + rate +
                                  ',"a","b","c","d")' * 3000)
    yield "long condition", f"{JOB} | " + " or ".join(["a=1"] * 10000)
    yield "long sum", " + ".join(["1"] * 20000)
    yield "sum of rates", " + ".join([rate] * 490)
    yield "powers", "^".join(["2"] * 40000)
    yield "signs", "+-" * 60000 + "1"


def list_bombs():
    rate = f"sum(rate({JOB}[5m]))"
    yield "10,000 literals", f"{JOB} |= " + " or ".join(f'"u{i}"' for i in range(12000))
    yield "10,000 absent literals", f"{JOB} != " + " or ".join(f'"U{i}"' for i in range(12000))
    yield "10,000 expressions", f"{JOB} |~ " + " or ".join(f'"U{i}.*x"' for i in range(9000))
    yield "10,000 refusals", f"{JOB} !~ " + " or ".join(f'"U{i}.*x"' for i in range(9000))
    yield "10,000 filters", JOB + ' |= "user"' * 12000
    yield "a long pattern", f'{JOB} |> "{"<_>e" * 26000}"'
    yield "10,000 patterns", f"{JOB} |> " + " or ".join(['"<_>e<_>s<_>"'] * 8000)
    yield "a pattern of captures", f"{JOB} | pattern " + quoted(
        "".join(f"<a{i}> " for i in range(13000)))
    yield "30,000 conditions", JOB + " | json" + "|n>0" * 30000
    yield "10,000 paths", JOB + " | json " + ",".join(f'a{i}="a.b"' for i in range(9000))
    yield "10,000 logfmt names", JOB + " | logfmt " + ",".join(f'a{i}="a"' for i in range(9000))
    yield "1,000 paths", JOB + " | json " + ",".join(f'a{i}="event"' for i in range(990))
    yield "10,000 formats", JOB + " | label_format " + ",".join(f'a{i}="{{{{.job}}}}"'
                                                              for i in range(6000))
    yield "10,000 parsers", JOB + " | json" * 18000
    yield "900 parsers", JOB + " | json" * 900
    yield "2,000 conditions", f"{JOB} | json | " + " or ".join(["n < 0"] * 1990)
    yield "400 addresses", JOB + ' |= ip("1.2.3.4")' * 400
    yield "names to drop", f"{JOB} | json | drop {names(13000)}"
    yield "by", f"sum by ({names(13000)}) (rate({JOB} | json [5m]))"
    yield "without", f"sum without ({names(13000)}) (rate({JOB} | json [5m]))"
    yield "on", f"{rate} + on ({names(13000)}) {rate}"
    yield "group_left", f"{rate} + on (job) group_left ({names(13000)}) {rate}"
    yield "10,000 matchers", '{job="bombs",' + ",".join(f'a{i}=~".*"' for i in range(8000)) + "}"
    yield "deep JSON path", f"{JOB} | json a={quoted('.'.join(['a'] * 5000))}"
    yield "long JSON path", f'{JOB} | json a="a{"[0]" * 30000}"'
    yield "a far index", f'{JOB} | json a="a[{"9" * 100000}]"'


def token_bombs():
    yield "a range of ages", f"sum(count_over_time({JOB}[99999999y]))"
    yield "a long duration", f"rate({JOB}[{'1h' * 50000}])"
    yield "a long offset", f"rate({JOB}[1h] offset {'1h' * 50000})"
    yield "a long number", "9" * 120000
    yield "a long exponent", "1e" + "9" * 120000
    yield "a long size", f"{JOB} | a > {'9' * 100000}KB"
    yield "spaces", " " * 130000
    yield "comments", "#\n" * 60000 + JOB
    yield "an open string", JOB + ' |= "' + "\\" * 120001


def template_bombs():
    yield "repeat", '{{ repeat 1000000000 "x" }}'
    yield "nested conditions", "{{if true}}" * 5000 + "{{end}}" * 5000
    yield "nested parentheses", "{{" + "(" * 10000 + "1" + ")" * 10000 + "}}"
    yield "endless call", '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}'
    yield "a wide number", '{{printf "%*d" 100000000 1}}'
    yield "a precise number", '{{printf "%.100000000f" 1.0}}'
    yield "alignment", "{{alignLeft 1000000000 .job}}"
    yield "nested JSON", "{{ fromJson `" + "[" * 50000 + "]" * 50000 + "` }}"
    yield "repeat of repeat", '{{ repeat 1000 (repeat 1000 (repeat 1000 "x")) }}'
    yield "an expression of each line", (
        '{{ regexReplaceAll (printf "(%s|\\\\pL{15}%s)" .user .n) __line__ "x" }}')
    yield "a wrong expression of each line", '{{ count (printf "(\\\\pL{900}%s)" .n) "x" }}'
    yield "an expression of 4 MB", '{{ count (repeat 1000000 "(a|") "x" }}'
    yield "states without end", '{{ count "[ab].{0,900}[xyz]q" (repeat 100 __line__) }}'
    yield "searches to the end", '{{ count "a.*z|a" (repeat 2000000 "a") }}'
    yield "many passes", '{{ repeat 1000000 "x" | upper | lower | count "y" }}'
    yield "long cutsets", ('{{ $x := repeat 1000000 "x" }}{{ $y := printf "%sx" (repeat 1000000 "y") }}'
                           '{{ len (trimAll $y $x) }}')
    yield "long needles", ('{{ $x := repeat 2000000 "x" }}{{ $y := printf "%sy" (repeat 1000000 "x") }}'
                           '{{ contains $y $x }}{{ replace $y "" $x | len }}')
    yield "digits without end", "{{ divf 1.5e308" + " 1.5e-300" * 8000 + " }}"
    yield "variables", "".join('{{$v%d := repeat 4000000 "x"}}' % i for i in range(40))
    yield "a wide tree", '{{ fromJson (printf "[%s1]" (repeat 1000000 "1,")) | len }}'
    yield "all labels, often", "{{.}}" * 4000
    yield "loops in loops", "{{range 300}}{{range 300}}{{range 300}}x{{end}}{{end}}{{end}}"
    yield "two calls each", ('{{define "a"}}{{template "a"}}{{template "a"}}{{end}}'
                             '{{template "a"}}')
    yield "an error of 60 kB", '{{ duration "' + "x" * 60000 + '" }}'


def bombs():
    yield from regex_bombs()
    yield from nesting_bombs()
    yield from list_bombs()
    yield from token_bombs()
    for name, text in template_bombs():
        yield "template: " + name, f"{JOB} | json | line_format {quoted(text)}"


class Meter:
    """What one request costs the server."""

    def __init__(self, skald):
        self.skald = skald
        self.worst = {"CPU seconds": (0, "nothing"), "MB": (0, "nothing")}

    def measure(self, name, ask_it):
        harness.forget_peak(self.skald.pid)
        idle = harness.memory_mb(self.skald.pid, "VmRSS")
        cpu = harness.cpu_seconds(self.skald.pid)
        status, body = ask_it()
        cpu = harness.cpu_seconds(self.skald.pid) - cpu
        used = harness.memory_mb(self.skald.pid, "VmHWM") - idle
        if os.environ.get("SKALD_SHOW_BOMBS"):
            print(f"{name:36s} {status} {cpu * 1e3:5.0f} ms CPU {used:6.1f} MB {body[:80]!r}")
        check(self.skald.alive(), f"the store died of: {name}")
        check(200 <= status < 300 or 400 <= status < 500, f"{name}: {status} {body[:300]}")
        check(status < 400 or body.strip(), f"{name}: {status} without a reason")
        check(cpu < CPU_SECONDS_MAX, f"{name}: {cpu:.1f} s of CPU")
        check(used < MEMORY_MAX_MB, f"{name}: {used:.1f} MB above idle")
        for key, value in (("CPU seconds", cpu), ("MB", used)):
            self.worst[key] = max(self.worst[key], (value, name))


def post(skald, path, fields):
    """Status and body."""
    status, _, body = skald.http.request("POST", path, urllib.parse.urlencode(fields, doseq=True),
                                         {"Content-Type": "application/x-www-form-urlencoded"})
    return status, body


def ask(skald, query):
    return post(skald, "/loki/api/v1/query_range",
                {"query": query, "start": NOW - HOUR, "end": NOW + HOUR, "step": "60",
                 "limit": "5000"})


def check_queries(skald, meter):
    for name, query in bombs():
        meter.measure(name, lambda: ask(skald, query))
        meter.measure(name + ", formatted", lambda: post(
            skald, "/loki/api/v1/format_query", {"query": query}))


def rule_bombs():
    alert = "- {alert: a%d, expr: 'rate({job=\"bombs\"}[5m]) > 1', annotations: {x: %s}}\n"
    nested = json.dumps("{{if true}}" * 400 + "x" + "{{end}}" * 400)
    yield "nested templates", "".join(alert % (i, nested) for i in range(300))
    yield "nested templates in 1 MB", "".join(alert % (i, nested) for i in range(120))
    yield "a wide template", alert % (0, json.dumps("{{.a}}" * 40000))
    yield "aliases", (alert % (0, "&long " + json.dumps("y" * 100000)) +
                      "".join(alert % (i, "*long") for i in range(1, 5000)))
    yield "aliases of a rule", "- &rule {alert: a, expr: %s}\n" % ("x" * 10000) + "- *rule\n" * 80000
    yield "many values", "[" + "a," * 500000 + "]"
    yield "deep values", "[" * 1000000


def post_rules(skald, rules):
    status, _, body = skald.http.request("POST", "/loki/api/v1/rules/bombs",
                                         "name: bombs\nrules:\n" + rules,
                                         {"Content-Type": "application/yaml"})
    return status, body


def check_other_endpoints(skald, meter):
    """Selectors reach the store by other ways, too; rules bring queries."""
    times = {"start": NOW - HOUR, "end": NOW}
    classes = ['{job=~%s}' % quoted("(?i)[\\pL\\pN]{%d}x" % (200 + i)) for i in range(200)]
    for name, query in list(regex_bombs()) + list(nesting_bombs()):
        if "{" not in query:
            continue
        for path in ("labels", "delete"):
            meter.measure(f"{name}, {path}", lambda: post(
                skald, "/loki/api/v1/" + path, {**times, "query": query}))
    meter.measure("10,000 selectors", lambda: post(
        skald, "/loki/api/v1/series",
        {**times, "match[]": ['{job=~"b%d.*"}' % i for i in range(10000)]}))
    meter.measure("selectors of classes", lambda: post(
        skald, "/loki/api/v1/series", {**times, "match[]": classes}))
    rules = "".join(f"- record: r{i}\n  expr: {json.dumps(f'rate({text}[5m])')}\n"
                    for i, text in enumerate(classes))

    for name, text in [("rules of classes", rules), *rule_bombs()]:
        meter.measure(name, lambda: post_rules(skald, text))


# Many seconds of work on a few thousand lines, though each of them takes but a little.
SLOW = "{{range 1000}}{{end}}"
ENDLESS = " + ".join(f'sum(count_over_time({JOB} | json | label_format y=`{SLOW}` | n>{i} | y="" [2h]))'
                     for i in range(200))


def metric(skald, name):
    lines = skald.http.get("/metrics")[2].decode().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + " "))


def falls_silent(skald):
    before = harness.cpu_seconds(skald.pid)
    time.sleep(0.5)
    return harness.cpu_seconds(skald.pid) - before < 0.1


def check_abandoned(skald):
    """Whoever closes the connection stops the query; a deadline stops it, too."""
    before = harness.cpu_seconds(skald.pid)
    with socket.create_connection(("127.0.0.1", skald.port)) as client:
        body = urllib.parse.urlencode({"query": ENDLESS, "time": NOW + 10**9})
        client.sendall(("POST /loki/api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: "
                        "application/x-www-form-urlencoded\r\nContent-Length: "
                        f"{len(body)}\r\n\r\n{body}").encode())
        harness.wait_until("the query works",
                           lambda: harness.cpu_seconds(skald.pid) - before > 0.3)
        equal(metric(skald, "skald_queries_cancelled_total"), 0, "cancelled before")
    left = time.monotonic()
    harness.wait_until("the query is cancelled",
                       lambda: metric(skald, "skald_queries_cancelled_total") == 1)
    stopped = time.monotonic() - left
    harness.wait_until("silence", lambda: falls_silent(skald))
    limits = {"X-Loki-Query-Limits": '{"maxQueryTime": "500ms"}'}
    status, _, body = skald.http.request(
        "POST", "/loki/api/v1/query", urllib.parse.urlencode({"query": ENDLESS, "time": NOW + 10**9}),
        {**limits, "Content-Type": "application/x-www-form-urlencoded"})
    equal(status, 504, f"past its deadline: {body[:200]}")
    harness.wait_until("silence", lambda: falls_silent(skald))
    print(f"abandoned: stopped after {stopped:.2f} s")


def test():
    skald = harness.Skald()
    lines = [(NOW + i, '{"event": "request", "user": "user-%d", "path": "/a/b/%d", "n": %d}'
              % (i % 97, i % 13, i)) for i in range(5000)]
    equal(skald.http.push([({"job": "bombs"}, lines)])[0], 204, "push")
    status, body = ask(skald, JOB)
    equal(status, 200, f"a harmless query: {body[:200]}")
    meter = Meter(skald)
    check_queries(skald, meter)
    check_other_endpoints(skald, meter)
    check_abandoned(skald)
    status, body = ask(skald, JOB + ' |= "user-5"')
    equal(status, 200, f"a harmless query afterwards: {body[:200]}")
    for unit, (value, name) in meter.worst.items():
        print(f"most: {value:.2f} {unit} ({name})")
    equal(skald.stop(), 0, "exit code")


if __name__ == "__main__":
    harness.run(test)
