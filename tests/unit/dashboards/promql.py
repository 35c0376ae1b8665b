"""The selectors and labels of a PromQL expression."""

from dataclasses import dataclass

import promql_parser


@dataclass
class Query:
    """Selectors as (metric, {label: (operator, value)}), and the labels of joins and groupings."""

    selectors: list
    labels: set
    ranges: list


def parse_query(expression):
    """Parse an expression; Grafana's interval variables stand for 5m. Raise ValueError if it is not PromQL."""
    found = Query([], set(), [])
    for variable in ("$__rate_interval", "$__range", "$__interval"):
        expression = expression.replace(variable, "5m")
    _walk(promql_parser.parse(expression), found)
    return found


def _walk(expression, found):
    kind = type(expression).__name__
    if kind == "MatrixSelector":
        found.ranges.append(expression.range)
        expression = expression.vector_selector
        kind = "VectorSelector"
    if kind == "VectorSelector":
        matchers = {matcher.name: (str(matcher.op), matcher.value) for matcher in expression.matchers.matchers}
        found.selectors.append((expression.name, matchers))
    elif kind == "Call":
        for argument in expression.args:
            _walk(argument, found)
    elif kind == "BinaryExpr":
        if expression.modifier and expression.modifier.matching:
            found.labels |= set(expression.modifier.matching.labels)
        if expression.modifier:
            found.labels |= set(expression.modifier.group_labels or ())
        _walk(expression.lhs, found)
        _walk(expression.rhs, found)
    elif kind == "AggregateExpr":
        if expression.modifier:
            found.labels |= set(expression.modifier.labels)
        if expression.param:
            _walk(expression.param, found)
        _walk(expression.expr, found)
    elif kind in ("ParenExpr", "UnaryExpr", "SubqueryExpr"):
        _walk(expression.expr, found)
