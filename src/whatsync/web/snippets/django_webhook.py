"""Django: verifies each webhook, handles each id once, answers at once and works in a thread."""

import hashlib
import hmac
import json
import os
from threading import Thread

from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

SECRET = os.environ["WEBHOOK_SECRET"].encode()
if not SECRET:
    raise SystemExit("Set WEBHOOK_SECRET to the signing secret, whsec_...")

seen = set()  # In production a model with a unique field, so that it outlives a restart.


@csrf_exempt
@require_POST
def webhook(request):
    body = request.body  # The bytes as they came: never sign a re-made JSON text.
    expected = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    signature = request.headers.get("X-WhatsSync-Signature", "")
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return HttpResponse("Invalid signature", status=401)
    event = json.loads(body)
    if event["id"] not in seen:
        seen.add(event["id"])
        Thread(target=handle, args=(event,)).start()  # In production a task queue.
    return HttpResponse("OK")


def handle(event):
    print(event["event"], event["id"], event["data"], flush=True)


urlpatterns = [path("webhook", webhook)]

if __name__ == "__main__":  # Runs this file by itself; a project of yours has its own settings and manage.py.
    from django.core.management import execute_from_command_line

    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
    execute_from_command_line(["manage.py", "runserver", "--noreload", "3000"])
