"""FastAPI: verifies each webhook, handles each id once, answers at once and works afterwards."""

import hashlib
import hmac
import json
import os

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request

SECRET = os.environ["WEBHOOK_SECRET"].encode()
if not SECRET:
    raise SystemExit("Set WEBHOOK_SECRET to the signing secret, whsec_...")

app = FastAPI()
seen = set()  # In production a table with a unique column, so that it outlives a restart.


@app.post("/webhook")
async def webhook(request: Request, tasks: BackgroundTasks):
    body = await request.body()  # The bytes as they came: never sign a re-made JSON text.
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    signature = request.headers.get("X-WhatsSync-Signature", "")
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise HTTPException(401, "Invalid signature")
    event = json.loads(body)
    if event["id"] not in seen:
        seen.add(event["id"])
        tasks.add_task(handle, event)
    return "OK"


def handle(event):
    print(event["event"], event["id"], event["data"], flush=True)
