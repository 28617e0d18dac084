{#- The columns of a unified trip that a layout may fill, and how their text is read: text, double or time. -#}
{%- macro taxi_columns() -%}
  {{- return({
    'source_key': 'text', 'provider': 'text', 'trip_type': 'text', 'payment_type': 'text', 'airport_flag': 'text',
    'pickup_time': 'time', 'dropoff_time': 'time',
    'pickup_latitude': 'double', 'pickup_longitude': 'double', 'dropoff_latitude': 'double', 'dropoff_longitude': 'double',
    'fare_usd': 'double', 'tip_usd': 'double', 'surcharge_usd': 'double', 'extra_usd': 'double', 'toll_usd': 'double', 'total_usd': 'double',
    'reported_distance': 'double', 'duration_minutes': 'double', 'passenger_count': 'double',
  }) -}}
{%- endmacro -%}
