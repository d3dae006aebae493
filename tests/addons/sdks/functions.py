"""Functions as users hand them to an SDK. Their annotations have to be types, not strings, for Google's."""


def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
      city: Its name.
    """
    return f"rain in {city}"


def get_time(zone: str) -> str:
    """The time.

    Args:
      zone: A zone.
    """
    return f"noon in {zone}"
