"""What users bring in files: networks and configurations, by name."""
