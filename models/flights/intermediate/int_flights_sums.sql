{{ feature_sums('flights_features', 'flight_date') }}
