"""Takes an order: from a browser, as a task, or from the clock."""

import json

from shop_words import PRICES


def handler(event, context):
    asked = json.loads(event)
    if "triggerName" in asked:
        return f"{asked['triggerName']}: {asked['payload']}"
    order = json.loads(asked["body"]) if "body" in asked else asked
    if order.get("item") not in PRICES:
        return {"statusCode": 400, "body": f"no {order.get('item')!r} here"}
    return {"statusCode": 200, "body": json.dumps({"item": order["item"], "price": PRICES[order["item"]]})}
