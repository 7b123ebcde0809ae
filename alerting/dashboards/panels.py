"""What our dashboards are made of: panels of Prometheus queries, and a frame around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

TAG: Final = "plumbline"
_SOURCE: Final = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_OUR_SOURCE: Final = model.VariableOption(selected=True, text="Plumbline Prometheus", value="plumbline-prometheus")
ROLLOUT_STEPS: Final = "sum by (step, by) (increase(plumbline_rollout_steps_total[1m])) > 0"
_IN_WORDS: Final = {"step": "60s", "tagKeys": "step,by", "textFormat": "by {{by}}", "titleFormat": "Rollout: {{step}}"}
"""Of the annotations above. Prometheus' data source knows these fields, and the SDK does not."""
_HEIGHT: Final = 8
_WIDTH: Final = 24


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the name of its series. `instant`: only the latest value."""

    expr: str
    legend: str = "__auto"
    instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """`limit`: from there on a value is bad; with `low` it is bad below. `span` of 24 columns. `unit` is Grafana's."""

    title: str
    description: str
    unit: str
    queries: Sequence[Query]
    kind: Literal["series", "number"] = "series"
    span: int = 12
    limit: float | None = None
    low: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """What people choose on a dashboard, from the values of `query`. The first one is chosen until somebody does: the
    first in the alphabet, or with `last_first` the last.
    """

    name: str
    query: str
    last_first: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    description: str
    panels: Sequence[Panel]
    variables: Sequence[Variable] = ()


def json_of(board: Board) -> dict[str, Any]:
    """As Grafana takes it, through the SDK's own types."""
    made = (
        build.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags([TAG])
        .time("now-6h", "now")
        .refresh("30s")
        .timezone("browser")
        .readonly()
        .with_variable(
            build.DatasourceVariable("datasource").label("Data source").type("prometheus").current(_OUR_SOURCE)
        )
        .link(
            build.DashboardLink("Plumbline")
            .type(model.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
        )
    )
    for variable in board.variables:
        made = made.with_variable(_variable(variable))
    made = made.annotation(
        build.AnnotationQuery()
        .name("Deployments, promotions, incidents")
        .datasource(model.DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(enable=True)
        .icon_color("orange")
        .target(build.AnnotationTarget().limit(100).match_any(match_any=True).tags([TAG]).type("tags"))
    ).annotation(_rollouts())
    across = down = 0
    for number, panel in enumerate(board.panels, start=1):
        if across + panel.span > _WIDTH:
            across, down = 0, down + _HEIGHT
        made = made.with_panel(_panel(panel, number, model.GridPos(h=_HEIGHT, w=panel.span, x=across, y=down)))
        across += panel.span
    plain = _plain(made.build())
    plain["annotations"]["list"][1] |= _IN_WORDS
    return plain


def _rollouts() -> build.AnnotationQuery:
    """Every step of a rollout, from Prometheus: whether or not anybody pushes annotations to Grafana."""
    return (
        build.AnnotationQuery()
        .name("Rollouts of detectors")
        .datasource(_SOURCE)
        .enable(enable=True)
        .icon_color("purple")
        .expr(ROLLOUT_STEPS)
    )


def _variable(variable: Variable) -> build.QueryVariable:
    order = model.VariableSort
    return (
        build.QueryVariable(variable.name)
        .label(variable.name.capitalize())
        .datasource(_SOURCE)
        .query(variable.query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(order.ALPHABETICAL_DESC if variable.last_first else order.ALPHABETICAL_ASC)
    )


def _panel(panel: Panel, number: int, place: model.GridPos) -> Any:
    made: Any = timeseries.Panel() if panel.kind == "series" else stat.Panel()
    made = (
        made.id(number)
        .title(panel.title)
        .description(panel.description)
        .unit(panel.unit)
        .datasource(_SOURCE)
        .grid_pos(place)
        .thresholds(_thresholds(panel))
    )
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(letter)
        made = made.with_target(target.instant() if query.instant or panel.kind == "number" else target.range())
    return made


def _thresholds(panel: Panel) -> build.ThresholdsConfig:
    good, bad = ("red", "green") if panel.low else ("green", "red")
    steps = [model.Threshold(value=None, color=good if panel.limit is not None else "green")]
    if panel.limit is not None:
        steps.append(model.Threshold(value=panel.limit, color=bad))
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = without_nothing(json.loads(JSONEncoder(sort_keys=True).encode(value)))
    return plain


def without_nothing(value: Any) -> Any:
    """`value` less the fields that are null, which say nothing; but for a threshold's, where null is minus infinity."""
    if isinstance(value, list):
        return [without_nothing(each) for each in value]
    if isinstance(value, dict):
        return {key: without_nothing(each) for key, each in value.items() if each is not None or key == "value"}
    return value
