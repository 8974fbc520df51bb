"""Naive answers from the files themselves: what the store must give back, byte for byte."""
import datetime
import json


def timestamp_ns(text):
    """RFC 3339 in UTC with up to nine digits of fraction, exactly."""
    head, _, fraction = text.rstrip("Z").partition(".")
    seconds = int(datetime.datetime.fromisoformat(head)
                  .replace(tzinfo=datetime.timezone.utc).timestamp())
    return seconds * 10**9 + int(fraction.ljust(9, "0") or 0)


def entries_of(paths):
    """[(ns, line)] of files of JSON lines with a `timestamp`, sorted."""
    found = []
    for path in paths:
        with open(path, encoding="utf-8", newline="\n") as f:
            for line in f:
                line = line.rstrip("\n")
                found.append((timestamp_ns(json.loads(line)["timestamp"]), line))
    return sorted(found)


def matching(entries, needle, predicate=lambda fields: True):
    return [(ns, line) for ns, line in entries if needle in line and predicate(json.loads(line))]


def is_number_over(fields, key, bound):
    value = fields.get(key)
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > bound


# The three queries of the product's main job, each with its naive form.
MAIN_QUERIES = [
    ('{job="ngx-api"} |= "ERROR"', lambda e: matching(e, "ERROR")),
    ('{job="ngx-api"} |= "conversation_started" | json | tier="hybrid_coaching"',
     lambda e: matching(e, "conversation_started", lambda f: f.get("tier") == "hybrid_coaching")),
    ('{job="ngx-api"} |= "ml_prediction" | json | duration > 100',
     lambda e: matching(e, "ml_prediction", lambda f: is_number_over(f, "duration", 100))),
]
