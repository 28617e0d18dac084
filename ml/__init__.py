"""Skewless: a target declared on a dbt model becomes a trained, served and monitored network."""
