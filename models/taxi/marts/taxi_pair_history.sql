{{ taxi_history('pair', {'pickup_zone': 'pickup_zone', 'dropoff_zone': 'dropoff_zone'}, 100, 50) }}
