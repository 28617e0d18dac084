{{ rule_scorecard('int_parcels_checked') }}
