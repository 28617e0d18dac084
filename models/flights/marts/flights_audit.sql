{{ split_audit('flights_features', 'flight_date') }}
