{{ taxi_history('hour', {'hour_of_week': 'hour_of_week'}, 100, 1) }}
