"""Flask: verifies each webhook, handles each id once, answers at once and works in a thread."""

import hashlib
import hmac
import json
import os
from threading import Thread

from flask import Flask, request

SECRET = os.environ["WEBHOOK_SECRET"].encode()
if not SECRET:
    raise SystemExit("Set WEBHOOK_SECRET to the signing secret, whsec_...")

app = Flask(__name__)
seen = set()  # In production a table with a unique column, so that it outlives a restart.


@app.post("/webhook")
def webhook():
    body = request.get_data()  # The bytes as they came: never sign a re-made JSON text.
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    signature = request.headers.get("X-WhatsSync-Signature", "")
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return "Invalid signature", 401
    event = json.loads(body)
    if event["id"] not in seen:
        seen.add(event["id"])
        Thread(target=handle, args=(event,)).start()  # In production a task queue.
    return "OK"


def handle(event):
    print(event["event"], event["id"], event["data"], flush=True)
