"""Every answer is asked for with one temperature, whatever the client says.

Models that think take no temperature at some providers; a request that asks for thinking is left alone.
"""

TEMPERATURE = 0.2


def llm_request(exchange):
    if exchange.purpose != "generate":
        return
    request = exchange.request
    if request.reasoning is None or request.reasoning.effort == "off":
        request.temperature = TEMPERATURE
