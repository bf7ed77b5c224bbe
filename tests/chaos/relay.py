"""The slow way between two hosts: packets that are addressed to the relay (net.py) reach their receiver later, slower, and not all of them."""
import heapq
import random
import select
import socket
import threading
import time

import net

IPV4 = 0x0800
DELAY, JITTER, LOSS = 0.04, 0.03, 0.005              # seconds, seconds, share
BYTES_A_SECOND = 2_000_000
QUEUE = 4000                                         # packets; what comes while so many wait is lost


class Relay(threading.Thread):
    def __init__(self, seed):
        super().__init__(daemon=True)
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4))
        self.sock.bind(("relay0", IPV4))
        self.own = bytes.fromhex(net.mac(net.RELAY).replace(":", ""))
        self.rng, self.stopping = random.Random(seed), threading.Event()
        self.waiting, self.last, self.count, self.passed_on = [], {}, 0, 0
        self.start()

    def run(self):
        while not self.stopping.is_set():
            now = time.monotonic()
            while self.waiting and self.waiting[0][0] <= now:
                try:
                    self.sock.send(heapq.heappop(self.waiting)[2])
                except OSError:                      # longer than the link takes, or the link is down: lost
                    continue
                self.passed_on += 1
            pause = min(0.1, self.waiting[0][0] - now) if self.waiting else 0.1
            if select.select([self.sock], [], [], max(0, pause))[0]:
                self._take(self.sock.recv(65600))

    def _take(self, frame):
        if frame[:6] != self.own or len(self.waiting) >= QUEUE or self.rng.random() < LOSS:
            return
        receiver = frame[33]                         # the last byte of the IPv4 destination
        link = frame[6:12], receiver
        now = time.monotonic()
        due = max(now + DELAY + self.rng.random() * JITTER, self.last.get(link, 0) + len(frame) / BYTES_A_SECOND)
        self.last[link], self.count = due, self.count + 1
        whole = bytes.fromhex(net.mac(receiver).replace(":", "")) + self.own + frame[12:]
        heapq.heappush(self.waiting, (due, self.count, whole))
