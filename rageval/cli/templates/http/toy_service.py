"""A toy in the place of your service: POST {"question": "..."} -> {"answer": "...", "contexts": [{id, text, score}]}.

    python toy_service.py [PORT]

It is here so that the files beside it run as they are. It needs nothing but Python, and ends with Ctrl-C.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from toy_rag import answer

PORT = 8765


class ToyHandler(BaseHTTPRequestHandler):
    """Answers one question."""

    def do_POST(self) -> None:
        """Send what the toy RAG says."""
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))["question"]
        reply = json.dumps(answer(question)).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *message: object) -> None:
        """Say nothing of single requests."""


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else PORT
    with ThreadingHTTPServer(("127.0.0.1", port), ToyHandler) as server:
        sys.stdout.write(f"The toy service answers at http://127.0.0.1:{server.server_port}/ask until Ctrl-C.\n")
        sys.stdout.flush()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\n")
