"""What a person runs: the `llm-link` command, the demo, the checks and the bench."""
