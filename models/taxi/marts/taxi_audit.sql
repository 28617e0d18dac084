-- Every new month tests again: at one in twenty a fair split would stop a build each year or two.
{{ split_audit('taxi_features', 'int_taxi_sums', level=0.001) }}
