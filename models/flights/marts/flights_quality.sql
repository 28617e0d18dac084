{{ rule_scorecard('int_flights_checked') }}
