"""A web hook: GitHub-like services post JSON here, and it answers in JSON."""

import json
import logging

log = logging.getLogger()


def handler(event, context):
    """`event` is the HTTP request as JSON; the answer's status, headers and body are what is returned."""
    request = json.loads(event)
    method = request["requestContext"]["http"]["method"]
    if method == "GET":
        return {"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": "<h1>Post JSON here</h1>"}
    try:
        hook = json.loads(request["body"])
    except ValueError:
        return {"statusCode": 400, "body": {"error": "the body is not JSON"}}
    log.info("hook %s", request["rawPath"])
    return {"statusCode": 202, "body": {"accepted": sorted(hook), "path": request["rawPath"]}}
