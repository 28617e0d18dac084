{{ feature_sums('taxi_features', 'pickup_date') }}
