{{ rule_scorecard('int_taxi_checked', exemptions='taxi_exemptions', counts='int_taxi_counts') }}
