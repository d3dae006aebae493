"""What mitmproxy loads. Only some modules of this folder may import mitmproxy; the configuration side never does."""
