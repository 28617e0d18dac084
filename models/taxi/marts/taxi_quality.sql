{{ rule_scorecard('int_taxi_checked', exemptions='taxi_exemptions') }}
