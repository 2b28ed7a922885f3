"""Hundreds of requests that are made up from the app's own description: none is answered with a 500."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.processes import PATIENCE_S
from tests.serving.conftest import Chat

pytestmark = pytest.mark.slow

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = {"POST /api/ask", "POST /api/feedback", "GET /api/filter-values", "GET /health", "GET /metrics"}


def test_no_made_up_request_meets_a_server_error_or_a_response_that_is_not_described(chat: Chat) -> None:
    schema = schemathesis.openapi.from_url(f"{chat.url}/openapi.json")
    tried = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        modes = list(GenerationMode) if operation.label.startswith("POST") else [GenerationMode.POSITIVE]
        for mode in modes:

            @settings(
                max_examples=60 if operation.label.startswith("POST") else 2, deadline=None, database=None,
                derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Case) -> None:
                case.call_and_validate(checks=CHECKS, timeout=PATIENCE_S)

            check()
        tried.add(operation.label)
    assert tried == OPERATIONS
    assert chat.api.get("/health").json()["in_flight"] == 0
