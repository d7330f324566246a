"""python3 receiver.py: verifies, handles each id once, answers 200 first and works afterwards. Needs Python only."""

import hashlib, hmac, json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

secret = os.environ["WEBHOOK_SECRET"].encode() or exit("set WEBHOOK_SECRET to your signing secret")
seen = set()  # in production a table with a unique column, so that it outlives a restart


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))  # the bytes as they came: sign these
        expected = hmac.new(secret, body, hashlib.sha256).hexdigest()
        given = self.headers.get("X-Whatsync-Signature", "").encode("latin-1", "replace")
        genuine = hmac.compare_digest(given, expected.encode())
        self.send_response(200 if genuine else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()
        event = json.loads(body) if genuine else {"id": None}
        if event["id"] and event["id"] not in seen:
            seen.add(event["id"])
            print(event["event"], event["data"], flush=True)


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Receiver).serve_forever()
