{{ sample_advice('taxi_features', 'int_taxi_sums', var('sample_gain')) }}
