"""Answers what clients ask before and beside the work, so that it costs nothing: no model is asked.

Claude Code asks for one token to see whether the key is good, and for a title for each conversation, as JSON.
"""

import json

from translators.editing import texts
from translators.model import Response, Text


def llm_request(exchange):
    if exchange.purpose != "generate":
        return
    request = exchange.request
    said = [text.strip() for text in texts(request, "user")]
    if request.max_output == 1 and said and said[-1] in ("quota", "count", "ping", "test", "Hi"):
        exchange.response = Response((Text("Hi"),), reason="length")
    elif not request.tools and wants_title(request):
        words = (said[-1] if said else "New conversation").split()
        exchange.response = Response((Text(json.dumps({"title": " ".join(words[:6])[:60]})),))


def wants_title(request):
    schema = request.format.schema or {}
    return request.format.kind == "schema" and list(schema.get("properties", ())) == ["title"]
