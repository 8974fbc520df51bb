#!/usr/bin/env python3
"""The shapes Grafana, its Logs Drilldown and logcli decode, asked as they ask."""
import gzip
import json
import time

import harness
from harness import check, equal

NOW = time.time_ns()
FLAGS = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
STREAMS = [({"job": "shape", "service_name": "api"},
            [(NOW - 3 * 10**9, '{"level": "info", "n": 1}', {"trace_id": "t1"}),
             (NOW - 2 * 10**9, '{"level": "error", "n": 2}', {"trace_id": "t2"})]),
           ({"job": "shape", "service_name": "web"}, [(NOW - 10**9, "plain text")])]


def save_and_test(http):
    """Grafana's health check: a far future time in ten digits, and no selector at all."""
    status, headers, body = http.request(
        "GET", "/loki/api/v1/query?direction=backward&query=vector(1)%2Bvector(1)&time=4000000000")
    equal(status, 200, "health check")
    check(headers["content-type"].startswith("application/json"), headers["content-type"])
    data = json.loads(body)["data"]
    equal((data["resultType"], data["result"]),
          ("vector", [{"metric": {}, "value": [4000000000, "2"]}]), "health check")


def streams(http):
    path = "/loki/api/v1/query_range"
    data = http.json(path, query='{job="shape"} | json')["data"]
    order = list(data)
    check(order.index("resultType") < order.index("result"), f"order of keys: {order}")
    check("encodingFlags" not in data, "encodingFlags without being asked")
    for stream in data["result"]:
        check(all(isinstance(v, str) for v in stream["stream"].values()), stream["stream"])
        check(all(len(v) == 2 and isinstance(v[0], str) for v in stream["values"]), stream["values"])
    one = next(s for s in data["result"] if s["stream"].get("trace_id") == "t2")
    equal(one["stream"]["n"], "2", "parsed labels are merged into the stream")

    status, _, body = http.request(
        "GET", path + "?query=%7Bjob%3D%22shape%22%7D%20%7C%20json", headers=FLAGS)
    equal(status, 200, "categorised query")
    data = json.loads(body)["data"]
    order = list(data)
    check(order.index("encodingFlags") < order.index("result"), f"order of keys: {order}")
    equal(data["encodingFlags"], ["categorize-labels"], "flags")
    for stream in data["result"]:
        check("trace_id" not in stream["stream"] and "n" not in stream["stream"], stream["stream"])
        check(all(len(v) == 3 and isinstance(v[2], dict) for v in stream["values"]), "3-tuples")
    third = {v[1]: v[2] for s in data["result"] for v in s["values"]}
    entry = third[STREAMS[0][1][1][1]]
    equal(entry["structuredMetadata"]["trace_id"], "t2", "metadata of an entry")
    equal(entry["parsed"]["n"], "2", "parsed labels of an entry")
    equal(http.json(path, query='{job="none"}')["data"]["result"], [], "an empty result")


def metrics(http):
    data = http.json("/loki/api/v1/query_range", start=NOW - 60 * 10**9, end=NOW, step="15000ms",
                     query='sum by (service_name) (count_over_time({job="shape"}[1m]))')["data"]
    equal(data["resultType"], "matrix", "type")
    for series in data["result"]:
        for when, value in series["values"]:
            check(isinstance(when, (int, float)) and isinstance(value, str), (when, value))
            equal(when % 15, 0, "a point's time is a multiple of the step")
    for stat in json.dumps(data.get("stats", {})).split(","):
        check("e+" not in stat, f"a counter in exponent form: {stat}")
    status, _, body = http.get("/loki/api/v1/query", query='{job="shape"}')
    check(status == 400 and b"log queries are not supported as an instant query type" in body, body)


def volume_panels(http):
    window = {"start": NOW - 3600 * 10**9, "end": NOW + 10**9}
    data = http.json("/loki/api/v1/query_range", step="60s", **window, query='sum by (level, '
                     'detected_level) (count_over_time({job="shape"} | drop __error__ [60s]))')
    equal(data["data"]["resultType"], "matrix", "volume histogram")
    stats = http.json("/loki/api/v1/index/stats", query='{job="shape"}', **window)
    equal({k: type(stats[k]) for k in ("streams", "chunks", "bytes", "entries")},
          dict.fromkeys(("streams", "chunks", "bytes", "entries"), int), "index/stats is bare")
    volume = http.json("/loki/api/v1/index/volume", query='{service_name=~`.+`}', limit=5000,
                       **window)["data"]
    equal(volume["resultType"], "vector", "index/volume")
    names = {r["metric"]["service_name"]: r["value"][1] for r in volume["result"]}
    check(set(names) == {"api", "web"} and all(isinstance(v, str) for v in names.values()), names)


def drilldown(http):
    window = {"start": NOW - 3600 * 10**9, "end": NOW + 10**9}
    fields = http.json("/loki/api/v1/detected_fields", query='{job="shape"}', **window)
    by_name = {f["label"]: f for f in fields["fields"]}
    equal((by_name["n"]["type"], by_name["n"]["parsers"]), ("int", ["json"]), "detected field n")
    equal(by_name["trace_id"]["parsers"], None, "parsers of metadata")
    labels = http.json("/loki/api/v1/detected_labels", query="", **window)
    check("service_name" in {x["label"] for x in labels["detectedLabels"]}, labels)
    limits = http.json("/loki/api/v1/drilldown-limits")
    check("limits" in limits and "pattern_ingester_enabled" in limits, limits)
    status, _, body = http.get("/loki/api/v1/patterns", query='{job="shape"}', **window)
    check(status in (200, 404), f"patterns: {status} {body[:100]}")


def plain_endpoints(http):
    equal(http.get("/ready")[0], 200, "/ready")
    build = http.json("/loki/api/v1/status/buildinfo")
    check(all(isinstance(build[k], str) for k in ("version", "revision", "goVersion")), build)
    status, _, body = http.get("/metrics")
    check(status == 200 and b"# TYPE" in body, body[:200])
    status, _, body = http.get("/no/such/path")
    equal(status, 404, "unknown path")
    equal(http.json("/loki/api/v1/format_query", query='{a="b"}|="c"')["data"], '{a="b"} |= "c"',
          "format_query")
    status, headers, body = http.request("GET", "/loki/api/v1/labels",
                                         headers={"Accept-Encoding": "gzip"})
    if headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    check("job" in json.loads(body)["data"], body[:200])


def rules_discovery(http):
    """What Grafana's alerting page asks first."""
    data = http.json("/prometheus/api/v1/rules")
    equal(data["status"], "success", "rules state")
    status, _, body = http.get("/api/prom/rules/test/test")
    check(status == 404 and b"page not found" not in body, f"{status} {body[:100]}")


def errors(http):
    status, headers, body = http.get("/loki/api/v1/query_range", query="{job=")
    check(status == 400 and headers["content-type"].startswith("text/plain") and
          body.startswith(b"parse error"), f"{status} {headers['content-type']} {body[:100]}")
    status, _, body = http.get("/loki/api/v1/query_range", query='{job="a"}', start=2, end=1)
    equal(status, 400, "end before start")


def test():
    skald = harness.Skald()
    status, body = skald.http.push(STREAMS)
    equal((status, body), (204, b""), "push")
    equal(skald.http.push(STREAMS)[0], 204, "the same push again")
    for part in (save_and_test, streams, metrics, volume_panels, drilldown, plain_endpoints,
                 rules_discovery, errors):
        part(skald.http)
    equal(skald.stop(), 0, "the store's exit code")


if __name__ == "__main__":
    harness.run(test)
