"""What mitmweb, mitmproxy and a saved flow file show of an exchange. All of it comes from the flow and its record.

`LLM Conversation` is chosen by itself: on the request what the client says, on the response the answer with its facts.
Each other one is chosen in the viewer's menu. They read; nothing that a view does or fails to do touches a flow.
"""

from __future__ import annotations

from mitmproxy.contentviews import Contentview

from addons.views import conversation, diff, sides, stream, usage
from addons.views.base import CompareView, RecordView
from addons.views.edit import NeutralView

VIEWS: tuple[Contentview, ...] = (
    RecordView("LLM Conversation", conversation.asked, conversation.answered, priority=2),
    RecordView("LLM Client side", sides.client_request, sides.client_answer),
    RecordView("LLM Upstream side", sides.upstream_request, sides.upstream_answer),
    RecordView("LLM Diff", diff.requests, diff.answers),
    RecordView("LLM Stream", stream.timeline, stream.timeline),
    RecordView("LLM Usage", usage.usage, usage.usage),
    CompareView(),
    NeutralView(),
)
