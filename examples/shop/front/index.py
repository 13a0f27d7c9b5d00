"""The page of the shop."""

import os

from shop_words import greeting


def handler(event, context):
    page = f"<h1>{greeting(os.environ['STAGE'])}</h1>"
    return {"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": page}
