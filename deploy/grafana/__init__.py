"""Dashboards for Grafana, as JSON that `alerting.dashboards` makes, and files for its provisioning."""
