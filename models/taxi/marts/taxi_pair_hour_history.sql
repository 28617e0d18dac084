{{ taxi_history('pair_hour', {'pickup_quarter': 'pickup_quarter', 'dropoff_quarter': 'dropoff_quarter', 'hour_of_day': 'hour_of_week % 24'}, 200, 50) }}
