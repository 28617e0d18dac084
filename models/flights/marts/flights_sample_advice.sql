{{ sample_advice('flights_features', 'int_flights_sums', var('sample_gain')) }}
