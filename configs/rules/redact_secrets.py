"""Takes keys and tokens out of all that is asked, before it leaves: prompts, files, results of tools, embeddings.

Load it as `{path: redact_secrets.py, required: true}`: then nothing is sent where it fails. Thoughts are left as they
are, since their signatures hold for their words.
"""

import re

from translators.editing import change_texts

SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"  # OpenAI, Anthropic, OpenRouter, Stripe …
    r"|\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bA(?:KIA|SIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",  # a JSON Web Token
    re.DOTALL,
)


def llm_request(exchange):
    change_texts(exchange.request, lambda text: SECRETS.sub("[redacted]", text))
