{{ split_audit('flights_features', 'int_flights_sums') }}
