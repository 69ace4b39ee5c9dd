"""Metrics in the format of Prometheus."""

from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from charloom.serving.metrics import Metrics


def test_metrics() -> None:
    metrics = Metrics()
    app = Starlette(routes=[Route("/health", lambda _: PlainTextResponse("ok"))])
    client = TestClient(metrics.middleware(app))
    for path in ("/health", "/health", "/nowhere", "/else"):
        client.get(path)
    metrics.add_tokens("m", 5)
    metrics.add_tokens("m", 2)
    metrics.add_completion("m", 0.5)
    content, media_type = metrics.render(3)
    assert media_type.startswith("text/plain")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(content.decode())
        for sample in family.samples
    }
    assert samples["charloom_requests_total", "/health", "200"] == 2
    # Paths that a client invents do not create labels.
    assert samples["charloom_requests_total", "other", "404"] == 2
    assert samples["charloom_generated_tokens_total", "m"] == 7
    assert samples["charloom_completion_seconds_count", "m"] == 1
    assert samples["charloom_running_requests",] == 3
