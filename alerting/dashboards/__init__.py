"""Grafana dashboards as code. Nothing in production imports this: the JSON in `deploy/grafana` is what ships."""
