"""The service: one generic BentoML service for every project, whose champion says what it answers."""
