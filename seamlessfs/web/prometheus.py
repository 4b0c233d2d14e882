"""/metrics: Prometheus's text form, made of plain counters when it is asked for.

Names are `seamlessfs_<component>_<noun>_<unit>[_total]`; every label has as many values as a table, a setting or the
topology says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from seamlessfs.net.histogram import Histogram
from seamlessfs.web.server import Page

TIME_BUCKETS = 25
"""From a microsecond to 17 seconds."""
SIZE_BUCKETS = 26
"""To 32 Mi."""
_NS_PER_S = 1e9

Labels = tuple[str, ...]
Rows = Mapping[Labels, float]


class Family:
    """Makes the metrics of one component."""

    def __init__(self, component: str) -> None:
        self._prefix = f"seamlessfs_{component}_"

    def gauge(self, name: str, what: str, value: float) -> Metric:
        return self.gauges(name, what, (), {(): value})

    def gauges(self, name: str, what: str, labels: Sequence[str], rows: Rows) -> Metric:
        return _filled(GaugeMetricFamily(self._prefix + name, what, labels=labels), rows)

    def counter(self, name: str, what: str, value: float) -> Metric:
        return self.counters(name, what, (), {(): value})

    def counters(self, name: str, what: str, labels: Sequence[str], rows: Rows) -> Metric:
        """The name without `_total`, which is added."""
        return _filled(CounterMetricFamily(self._prefix + name, what, labels=labels), rows)

    def times(self, name: str, what: str, labels: Sequence[str], rows: Mapping[Labels, Histogram]) -> Metric:
        """Histograms of nanoseconds, shown in seconds; those of which nothing was observed are left out."""
        return self._histograms(name + "_seconds", what, labels, rows, TIME_BUCKETS, _NS_PER_S)

    def sizes(self, name: str, what: str, histogram: Histogram) -> Metric:
        return self._histograms(name, what, (), {(): histogram}, SIZE_BUCKETS, 1)

    def _histograms(
        self,
        name: str,
        what: str,
        labels: Sequence[str],
        rows: Mapping[Labels, Histogram],
        buckets: int,
        unit: float,
    ) -> Metric:
        family = HistogramMetricFamily(self._prefix + name, what, labels=labels)
        for values, histogram in rows.items():
            if count := histogram.count:
                shown = [(repr(bound / unit), float(below)) for bound, below in histogram.cumulative(buckets)]
                family.add_metric(values, [*shown, ("+Inf", float(count))], histogram.total / unit)
        return family


def _filled(family: GaugeMetricFamily | CounterMetricFamily, rows: Rows) -> Metric:
    for labels, value in rows.items():
        family.add_metric(labels, value)
    return family


class _Collected(Collector):
    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics()


def metrics_page(metrics: Callable[[], Iterable[Metric]]) -> Page:
    """What `metrics` makes at that moment, and the process's own: memory, processor time, descriptors."""
    registry = CollectorRegistry()
    registry.register(_Collected(metrics))
    ProcessCollector(registry=registry)

    async def page(request: web.BaseRequest) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return page
