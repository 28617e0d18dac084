{#-
  Cities as data: the box that trips are in (degrees), the bearing of the street grid (degrees clockwise from north), the
  clock of its times, the largest fare that is believed, the date from which rows are out_of_time, its tariffs by the date on
  which they came into force (what the drop pays for, dollars a mile after that, dollars an hour of waiting), and its
  airports. All times in the data are the city's own. Edit a number here and everything follows: rules, features, splits.

  Sources: the box and tariff of Washington from the description of its published trips; New York's tariffs from the Taxi and
  Limousine Commission's rules of 2004 and of 4 September 2012; Chicago's from its ordinance of January 2016. `simulated` is
  Washington's box with a tariff whose second step is an invention of ml/simulate.
-#}
{%- macro taxi_cities() -%}
{%- set text -%}
washington:
  box: {latitude: [38.81138, 38.994909], longitude: [-77.113633, -76.910012]}
  grid_bearing: 0.0
  time_zone: America/New_York
  fare_cap_usd: 300.0
  out_of_time_from: "2019-01-01"
  tariffs: [{from: "2012-04-01", drop_usd: 3.25, drop_miles: 0.125, mile_usd: 2.16, hour_usd: 25.0}]
  airports: [{name: DCA, latitude: 38.8512, longitude: -77.0402, radius_km: 1.2}]
simulated:
  box: {latitude: [38.81138, 38.994909], longitude: [-77.113633, -76.910012]}
  grid_bearing: 0.0
  time_zone: America/New_York
  fare_cap_usd: 300.0
  out_of_time_from: "2019-01-01"
  tariffs:
    - {from: "2012-04-01", drop_usd: 3.25, drop_miles: 0.125, mile_usd: 2.16, hour_usd: 25.0}
    - {from: "2018-07-01", drop_usd: 3.5, drop_miles: 0.125, mile_usd: 2.4, hour_usd: 27.5}
  airports: [{name: DCA, latitude: 38.8512, longitude: -77.0402, radius_km: 1.2}]
new_york:
  box: {latitude: [40.49, 41.0], longitude: [-74.3, -73.65]}
  grid_bearing: 29.0
  time_zone: America/New_York
  fare_cap_usd: 300.0
  out_of_time_from: "2012-09-01"
  tariffs:
    - {from: "2004-05-03", drop_usd: 2.5, drop_miles: 0.2, mile_usd: 2.0, hour_usd: 24.0}
    - {from: "2012-09-04", drop_usd: 2.5, drop_miles: 0.2, mile_usd: 2.5, hour_usd: 30.0}
  airports:
    - {name: JFK, latitude: 40.6448, longitude: -73.782, radius_km: 2.2}
    - {name: LGA, latitude: 40.7735, longitude: -73.8715, radius_km: 1.3}
    - {name: EWR, latitude: 40.6905, longitude: -74.1775, radius_km: 1.6}
chicago:
  box: {latitude: [41.62, 42.05], longitude: [-87.95, -87.52]}
  grid_bearing: 0.0
  time_zone: America/Chicago
  fare_cap_usd: 300.0
  out_of_time_from: "2023-01-01"
  tariffs: [{from: "2016-01-01", drop_usd: 3.25, drop_miles: 0.0, mile_usd: 2.25, hour_usd: 20.0}]
  airports:
    - {name: ORD, latitude: 41.9786, longitude: -87.9048, radius_km: 2.5}
    - {name: MDW, latitude: 41.7868, longitude: -87.7522, radius_km: 1.5}
{%- endset -%}
{{- return(fromyaml(text)) -}}
{%- endmacro -%}
