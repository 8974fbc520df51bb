"""A WebSocket client for tests and benches: one connection on loopback, frames as they come."""
import base64
import os
import socket
import struct

from harness import check

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebSocket:
    def __init__(self, port, target, receive_buffer=None):
        """`receive_buffer`: bytes the kernel keeps for a reader that does not read."""
        self.message = b""
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect(("127.0.0.1", port))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((
            f"GET {target} HTTP/1.1\r\nHost: x\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://grafana.example\r\nSec-WebSocket-Key: {key}\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        status = self.file.readline()
        check(b" 101 " in status, f"no upgrade: {status}")
        while self.file.readline() != b"\r\n":
            pass

    def frame(self):
        """The next control frame, or message put together from its fragments."""
        while True:
            head = self.file.read(2)
            check(len(head) == 2, "the connection ended without a close frame")
            size = head[1] & 127
            if size == 126:
                size = struct.unpack(">H", self.file.read(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self.file.read(8))[0]
            opcode, payload = head[0] & 15, self.file.read(size)
            if opcode >= CLOSE:
                return opcode, payload
            self.message += payload
            if head[0] & 0x80:
                message, self.message = self.message, b""
                return TEXT, message

    def send(self, opcode, payload=b""):
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def until(self, wanted):
        """The first frame of this kind; pings on the way are answered."""
        while True:
            opcode, payload = self.frame()
            if opcode == PING:
                self.send(PONG, payload)
            if opcode == wanted:
                return payload

    def close(self):
        self.socket.close()
