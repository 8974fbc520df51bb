"""Loki push bodies (protobuf, snappy raw block) from files of JSON lines, made before the clock
starts, so that the sender costs as little as possible beside the server it measures.

File of bodies: per body two little-endian u32 (body size, raw bytes of its lines), then the body.
Streams are {job, pod = file's stem, level}; a line's time is its own "timestamp".
"""
import datetime
import http.client
import re
import struct
import threading
import time

TIMESTAMP = re.compile(rb'"timestamp": ?"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d+)Z"')
LEVEL = re.compile(rb'"level": ?"(\w+)"')
BODY_RAW_BYTES = 1 << 20


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    return bytes([number << 3 | 2]) + varint(len(payload)) + payload


class Encoder:
    def __init__(self, job):
        import cramjam
        self.snappy = cramjam.snappy.compress_raw
        self.job, self.seconds = job, {}

    def timestamp(self, line):
        match = TIMESTAMP.search(line)
        seconds = self.seconds.get(match[1])
        if seconds is None:
            moment = datetime.datetime.fromisoformat(match[1].decode())
            seconds = int(moment.replace(tzinfo=datetime.timezone.utc).timestamp())
            self.seconds[match[1]] = seconds
        return b"\x08" + varint(seconds) + b"\x10" + varint(int(match[2].ljust(9, b"0")))

    def body(self, pod, lines):
        levels = {}
        for line in lines:
            level = LEVEL.search(line)[1].decode()
            entry = field(1, self.timestamp(line)) + field(2, line)
            levels.setdefault(level, []).append(field(2, entry))
        streams = b"".join(
            field(1, field(1, f'{{job="{self.job}", level="{level}", pod="{pod}"}}'.encode()) +
                  b"".join(entries)) for level, entries in levels.items())
        return bytes(self.snappy(streams))


def encode(out_path, files, job="ngx-api"):
    """files: [(pod, path)]; the files take turns, a body each, as pods do. Raw bytes in all."""
    encoder, raw = Encoder(job), 0
    live = [(pod, open(path, "rb", buffering=1 << 20)) for pod, path in files]
    with open(out_path, "wb") as out:
        while live:
            for source in list(live):
                pod, f = source
                lines = [line.rstrip(b"\n") for line in f.readlines(BODY_RAW_BYTES)]
                if not lines:
                    live.remove(source)
                    continue
                size = sum(map(len, lines))
                body = encoder.body(pod, lines)
                out.write(struct.pack("<II", len(body), size) + body)
                raw += size
    return raw


def send(path, port, connections=2):
    """Raw bytes sent and wall seconds. Any answer but 204 raises."""
    source, lock = open(path, "rb"), threading.Lock()
    total, errors = [0], []

    def next_body():
        with lock:
            head = source.read(8)
            if not head or errors:
                return None
            size, raw = struct.unpack("<II", head)
            return source.read(size), raw

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        while (item := next_body()) is not None:
            connection.request("POST", "/loki/api/v1/push", item[0],
                               {"Content-Type": "application/x-protobuf"})
            response = connection.getresponse()
            text = response.read()
            if response.status != 204:
                errors.append(f"push: {response.status} {text[:200]!r}")
                return
            with lock:
                total[0] += item[1]

    started = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(errors[0])
    return total[0], time.monotonic() - started
