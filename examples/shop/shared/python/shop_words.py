"""What both functions say."""

PRICES = {"tea": 3, "cake": 5}


def greeting(stage: str) -> str:
    return f"The shop ({stage}) has {', '.join(sorted(PRICES))}"
