"""The settings around a request: sampling, stop sequences, identity, service, and what Anthropic has no field for."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ..codec import Traits
from ..foreign import unsaid
from ..model import Request
from ..policy import BALANCED_REJECT, INFO, REJECT, STRICT_REJECT, WARN, Loss, Rule
from .reasoning import Plan
from .wire import NAME, VERSION, VERSION_WITHOUT_SAMPLING

# ---- sampling, stop sequences

_RANGE = (0.0, 1.0)


def render_sampling(body: dict[str, Any], request: Request, traits: Traits, made: Plan, losses: list[Loss]) -> None:
    for field in ("temperature", "top_p", "top_k"):
        value = getattr(request, field)
        if value is None:
            continue
        if why := _refusal(field, value, request, traits, made):
            losses.append(Loss(field, "dropped", why, WARN))
        elif field == "temperature" and not _RANGE[0] <= value <= _RANGE[1]:
            losses.append(Loss(field, "clamped", "Anthropic's temperature goes from 0 to 1", WARN))
            body[field] = min(max(value, _RANGE[0]), _RANGE[1])
        else:
            body[field] = value
    if request.stop:
        stop = [text for text in request.stop if text.strip()]
        if len(stop) != len(request.stop):
            losses.append(Loss("stop", "dropped", "Anthropic refuses stop sequences of white space", WARN))
        if stop:
            body["stop_sequences"] = stop


def _refusal(field: str, value: float, request: Request, traits: Traits, made: Plan) -> str:
    """Why a sampling parameter cannot be sent; empty where it can."""
    if (traits.version or VERSION) >= VERSION_WITHOUT_SAMPLING or field in traits.drop:
        return f"this model takes no {field}"
    if made.on and not (field == "temperature" and value == 1) and not (field == "top_p" and value >= 0.95):
        return f"the model takes no {field} while it thinks"
    if field == "top_p" and request.temperature is not None:
        return "Anthropic takes temperature or top_p, not both"
    return ""


# ---- identity and service

TIERS_IN = {"auto": "auto", "standard_only": "default"}
_TIERS_OUT = {"auto": "auto", "default": "standard_only", "priority": "auto"}
_FAST = ("fast", "ultrafast")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def render_identity(body: dict[str, Any], request: Request, traits: Traits, losses: list[Loss]) -> None:
    user = request.user or request.safety_id
    if user and "user" not in traits.drop:
        if _MAIL.fullmatch(user):  # Anthropic wants no personal data there
            user = hashlib.sha256(user.encode()).hexdigest()
        body["metadata"] = {"user_id": user}
    if request.safety_id is not None and request.safety_id != (request.user or request.safety_id):
        losses.append(Loss("safety_id", "dropped", "Anthropic has one user id, and takes the user's", INFO))
    tier = request.tier
    if tier is None or "tier" in traits.drop:
        return
    if tier in _FAST:
        body["speed"] = "fast"
    elif tier in _TIERS_OUT:
        body["service_tier"] = _TIERS_OUT[tier]
    else:
        losses.append(Loss("tier", "dropped", f"Anthropic has no service tier {tier!r}", WARN))


# ---- what finds no place

# What Anthropic has no field for: the neutral field, what happens to it, and why
_UNSAID: tuple[tuple[str, Rule, str], ...] = (
    ("min_p", INFO, "Anthropic has no min_p"),
    ("repeat_penalty", INFO, "Anthropic has no repeat penalty"),
    ("seed", WARN, "Anthropic has no seed"),
    ("presence_penalty", WARN, "Anthropic has no presence penalty"),
    ("frequency_penalty", WARN, "Anthropic has no frequency penalty"),
    ("logit_bias", STRICT_REJECT, "Anthropic has no logit bias"),
    ("logprobs", STRICT_REJECT, "Anthropic gives no log probabilities"),
    ("verbosity", WARN, "Anthropic has no verbosity"),
    ("metadata", WARN, "Anthropic's metadata holds a user id only"),
    ("previous_id", REJECT, "Anthropic keeps no earlier answers"),
    ("truncation", WARN, "Anthropic does not shorten the conversation by itself"),
    ("cache_key", INFO, "Anthropic needs no cache key"),
)


def report(request: Request, losses: list[Loss]) -> None:
    """The fields of the request that found no place."""
    for field, rule, why in _UNSAID:
        if getattr(request, field) is not None:
            losses.append(Loss(field, "dropped", why, rule))
    if request.n > 1:
        losses.append(Loss("n", "dropped", "Anthropic gives one answer", BALANCED_REJECT))
    if request.store:
        losses.append(Loss("store", "dropped", "Anthropic stores no answers", WARN))
    if request.background:
        losses.append(Loss("background", "dropped", "Anthropic answers at once", WARN))
    if any(modality != "text" for modality in request.modalities):
        losses.append(Loss("modalities", "dropped", "Anthropic answers in text", REJECT))
    losses += unsaid(request, NAME, "Anthropic")
