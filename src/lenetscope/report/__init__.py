"""The report of a run: one HTML file, offline, with the network in it."""

from lenetscope.report.build import write_report

__all__ = ["write_report"]
