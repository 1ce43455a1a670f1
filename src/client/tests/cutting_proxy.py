"""A TCP proxy that can swallow a reply: the server has committed, the client hears nothing."""

import socket
import threading

SMALLEST_REPLY = 60
"""HTTP/2 pings, settings acknowledgements and window updates are shorter than this; replies are longer."""


class CuttingProxy:
    def __init__(self, target):
        host, port = target.rsplit(":", 1)
        self._upstream = (host, int(port))
        self._lock = threading.Lock()
        self._sockets = set()
        self._is_armed = False
        self._is_down = False
        self.n_cut = 0
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(16)
        self.target = "127.0.0.1:{}".format(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self):
        """Swallow the next reply and cut its connection."""
        self._is_armed = True

    def down(self):
        """Cut everything and let nobody in."""
        self._is_down = True
        self._cut_all()

    def up(self):
        self._is_down = False

    def close(self):
        self._is_down = True
        self._listener.close()
        self._cut_all()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_down:
                client.close()
                continue
            try:
                server = socket.create_connection(self._upstream)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets |= {client, server}
            for source, sink, is_reply in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=(source, sink, is_reply), daemon=True).start()

    def _pump(self, source, sink, is_reply):
        try:
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                if is_reply and self._is_armed and len(data) >= SMALLEST_REPLY:
                    self._is_armed = False
                    self.n_cut += 1
                    break
                sink.sendall(data)
        except OSError:
            pass  # the other direction has cut the connection
        self._close(source)
        self._close(sink)

    def _cut_all(self):
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            self._close(one)

    def _close(self, one):
        with self._lock:
            self._sockets.discard(one)
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # closed by the peer already
        one.close()
