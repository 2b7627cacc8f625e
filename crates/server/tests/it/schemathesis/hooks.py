"""What a schema cannot say of a request that is right in all else: keys are new for each request, and a cursor comes from the
list itself. The server gets requests that are wrong in any of it all the same, as wrong ones. A head above 16 KiB ends the
connection before there is an API to answer: no cursor is so long."""

import uuid

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    cursor = case.query.get("cursor") if case.query else None
    if isinstance(cursor, str) and len(cursor) > 900:
        case.query["cursor"] = cursor[:900]
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.query:
        case.query.pop("cursor", None)
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = str(uuid.uuid4())
