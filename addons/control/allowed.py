"""What the API may say in a config: upstreams, models and limits, and no way to anything that is not its own.

A stored key or one of the environment goes to an address of the catalogue or of the config file, never to one that came
through the API; so an address needs the key to use there beside it, as a value. Names of the environment are those
that the config file uses already. Files, rules, logs and addresses to listen on are not for the API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from addons.control.errors import Refused
from addons.settings import SPACE_KEYS
from addons.settings_yaml import MAX_DEPTH

# The words of other proxies for the same things, taken where a namespace is configured.
_UPSTREAM_WORDS = {"api_root": "base_url", "fixed_upstream_format": "protocol", "provider_key": "api_key"}
_PROTOCOLS = {
    "openai-completion": "openai-chat",
    "openai-completions": "openai-chat",
    "openai": "openai-chat",
    "google": "gemini",
}
_ADDRESS = ("base_url", "proxy")
_REF = ("env", "value", "store")


def space_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """A namespace's config in our own words."""
    if _too_deep(given):
        raise Refused(400, "the config is nested too deeply", "config")
    config = dict(given)
    if isinstance(upstreams := config.get("upstreams"), list):
        config["upstreams"] = dict(map(_named, upstreams))
    if isinstance(upstreams := config.get("upstreams"), dict):
        config["upstreams"] = {name: _upstream(part) for name, part in upstreams.items()}
    if "model_aliases" in config and "models" not in config:
        config["models"] = _aliases(config.pop("model_aliases"))
    if "compatibility_mode" in config and "policy" not in config:
        config["policy"] = config.pop("compatibility_mode")
    return config


def _too_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        maps = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [inner for inners in maps for inner in inners]
    return bool(level)


def _named(part: Any) -> tuple[str, Any]:
    if not isinstance(part, dict) or not isinstance(part.get("name"), str):
        raise Refused(400, "each upstream of a list needs a name", "config.upstreams")
    return part["name"], {key: value for key, value in part.items() if key != "name"}


def _upstream(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    out = {_UPSTREAM_WORDS.get(key, key): value for key, value in part.items()}
    if isinstance(protocol := out.get("protocol"), str):
        out["protocol"] = _PROTOCOLS.get(protocol, protocol)
    if isinstance(key := out.get("api_key"), dict) and "inline" in key:
        out["api_key"] = {"value": key["inline"]}
    return out


def _aliases(aliases: Any) -> Any:
    if not isinstance(aliases, dict):
        raise Refused(400, "expected a map", "config.model_aliases")
    return {name: _target(row) for name, row in aliases.items()}


def _target(row: Any) -> Any:
    if isinstance(row, dict) and "upstream_name" in row:
        return f"{row['upstream_name']}/{row.get('upstream_model') or '*'}"
    return row.replace(":", "/", 1) if isinstance(row, str) and "/" not in row else row


def check_space(config: Mapping[str, Any], file: Mapping[str, Any]) -> None:
    """Refuses what is not for the API. `file`: the values of the config file."""
    for key in config:
        if key not in SPACE_KEYS:
            raise Refused(400, f"{key} cannot be set through the API; {', '.join(SPACE_KEYS)} can", f"config.{key}")
    check_envs(config, file, "config")
    upstreams = config.get("upstreams")
    for name, part in upstreams.items() if isinstance(upstreams, dict) else ():
        if isinstance(part, dict):
            _check_upstream(name, part, file)


def check_envs(value: Any, file: Mapping[str, Any], where: str) -> None:
    """Refuses names of the environment that the config file does not use, and keys of the store."""
    known = env_names(file)
    for name, path in _refs(value, where):
        if name is not None and name not in known:
            raise Refused(400, f"the config file does not use the variable {name[:64]!r}", path)


def _check_upstream(name: str, part: Mapping[str, Any], file: Mapping[str, Any]) -> None:
    where = f"config.upstreams.{name}"
    known = file.get("upstreams")
    if isinstance(known, dict) and part == known.get(name):
        return  # word for word what the file says
    keys = [part[key] for key in ("api_key", "api_keys") if part.get(key) is not None]
    refs = [ref for key in keys for ref in (key if isinstance(key, list) else [key])]
    if any(isinstance(ref, dict) and "store" in ref for ref in refs):
        raise Refused(400, "keys of the store cannot be named through the API", f"{where}.api_key")
    own = bool(refs) and all(isinstance(ref, dict) and "value" in ref for ref in refs)
    named = next((key for key in _ADDRESS if part.get(key) not in (None, "direct")), None)
    if named is not None and not own:
        raise Refused(400, "an address needs the key to use there, as api_key: {value: …}", f"{where}.{named}")


def env_names(file: Any) -> set[str]:
    """The names of the environment that a config file uses."""
    return {name for name, _ in _refs(file, "") if name is not None}


def _refs(value: Any, where: str) -> Iterator[tuple[str | None, str]]:
    """Every `{env: NAME}` in a value, and where it is."""
    if isinstance(value, dict):
        if isinstance(value.get("env"), str) and set(value) & set(_REF):
            yield value["env"], f"{where}.env"
        for key, inner in value.items():
            yield from _refs(inner, f"{where}.{key}")
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _refs(inner, f"{where}[{n}]")


def redacted(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as it may be shown."""
    out = {key: value for key, value in config.items() if key in SPACE_KEYS}
    if isinstance(upstreams := out.get("upstreams"), dict):
        out["upstreams"] = {name: _shown(part) for name, part in upstreams.items()}
    return out


def _shown(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    out = dict(part)
    if "api_key" in out:
        out["api_key"] = _shown_key(out["api_key"])
    if isinstance(keys := out.get("api_keys"), list):
        out["api_keys"] = [_shown_key(key) for key in keys]
    if isinstance(headers := out.get("headers"), dict):
        out["headers"] = dict.fromkeys(headers)
    if isinstance(proxy := out.get("proxy"), str) and "@" in proxy:
        scheme, _, rest = proxy.rpartition("://")
        out["proxy"] = f"{scheme}://***@{rest.rpartition('@')[2]}"
    return out


def _shown_key(ref: Any) -> Any:
    if not isinstance(ref, dict):
        return {"value": None, "value_redacted": True}
    return {key: value for key, value in ref.items() if key in ("env", "store")} or {
        "value": None,
        "value_redacted": True,
    }
