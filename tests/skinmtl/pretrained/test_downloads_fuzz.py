"""A server's answers, damaged: a file, or why there is none, and no waiting."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from fuzzing import mutated_bytes, mutated_lines

from caffe_files.errors import InputError
from skinmtl.pretrained import download as downloading
from skinmtl.pretrained.download import DownloadError, Patience, download

BODY = b"0123456789" * 3
WHOLE = (
    b'HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 30\r\nETag: "one"\r\n'
    b"Last-Modified: Mon, 30 Nov 2026 14:00:00 GMT\r\nConnection: close\r\n\r\n" + BODY
)
PART = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-29/30\r\nContent-Length: 20\r\n\r\n" + BODY[10:]
CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1e\r\n" + BODY + b"\r\n0\r\n\r\n"
OTHER_RANGE = b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */30\r\n\r\n"
MOVED = b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"


@contextlib.contextmanager
def answering():
    """A server of bytes: what is in the list that is yielded; and its address."""
    answer = [b""]
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer[0])

        threading.Thread(target=serve, daemon=True).start()
        yield answer, f"http://127.0.0.1:{listening.getsockname()[1]}/file"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("size", [30, None])
def test_a_damaged_answer(fuzzer, size, monkeypatch):
    monkeypatch.setattr(downloading, "MOST_TRIES", 3)
    with answering() as (answer, url):

        def read(path):
            answer[0] = path.read_bytes()
            part = fuzzer.folder / "file.part"
            part.write_bytes(BODY[:10])
            try:
                download(url, part, size, Patience(timeout=2, tries=2, pause=0))
            except DownloadError as error:
                raise InputError(f"{path}: {error}") from None

        def mutate(chance, data):
            head, end, body = data.partition(b"\r\n\r\n")
            return (mutated_lines(chance, head) if chance.random() < 0.7 else mutated_bytes(chance, head)) + end + body

        fuzzer.run("answer", read, [WHOLE, PART, CHUNKS], mutate, share=0.35)
        # these bring no file, and so are no seeds that can be read
        fuzzer.run("answer", read, [WHOLE], lambda chance, data: mutate(chance, OTHER_RANGE), share=0.1)
        fuzzer.run("answer", read, [WHOLE], lambda chance, data: mutate(chance, MOVED), share=0.05)
