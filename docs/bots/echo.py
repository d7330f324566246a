"""python3 echo.py: answers each text message with the same words, through Meta's API. Needs Python only."""

import hashlib, hmac, json, os, threading, urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

secret = os.environ["WEBHOOK_SECRET"].encode() or exit("set WEBHOOK_SECRET to your signing secret")
token = os.environ["ACCESS_TOKEN"] or exit("set ACCESS_TOKEN to the token of Meta's API")
graph = os.environ.get("GRAPH_URL", "https://graph.facebook.com/v25.0")
seen = set()  # in production a table with a unique column, so that it outlives a restart


def answer(number, to, text):
    message = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": text}}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{graph}/{number}/messages", json.dumps(message).encode(), headers)
    urllib.request.urlopen(request, timeout=30).close()


class Bot(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        expected = hmac.new(secret, body, hashlib.sha256).hexdigest().encode()
        given = self.headers.get("X-Whatsync-Signature", "").encode("latin-1", "replace")
        genuine = hmac.compare_digest(given, expected)
        self.send_response(200 if genuine else 401)
        self.send_header("Content-Length", "0")
        self.end_headers()
        event = json.loads(body) if genuine else {"event": None}
        if event["event"] != "message.incoming" or event["data"]["text"] is None or event["id"] in seen:
            return
        seen.add(event["id"])
        data = event["data"]
        threading.Thread(target=answer, args=(self.headers["X-WhatsSync-Number"], data["from"], data["text"])).start()


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Bot).serve_forever()
