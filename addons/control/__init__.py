"""The control surface: what the HTTP API of a running proxy shows and changes (docs/control.md).

`door` decides who is let in and keeps the heavy parts away until somebody comes; `app` is the FastAPI application, one
module for each group of endpoints beside it. None of them knows mitmproxy: what they see and change of the proxy is
`desk.Desk`, which `link` puts together.
"""
