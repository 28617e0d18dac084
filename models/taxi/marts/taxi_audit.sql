{{ split_audit('taxi_features', 'int_taxi_sums') }}
