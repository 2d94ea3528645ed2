-- Every request appends one event to a stream of its own; the figures come out as one line of JSON.
local number = 0
local head = '{"type":"JobCompleted","aggregate_type":"Execution","aggregate_id":"'
local tail = '","data":{"plugin":"tap-oracle-7","node":"node-3","status":"JobCompleted",' ..
    '"arguments":{"schema":"WMS","table":"T_99","batch":412,"since":"2025-08-01T00:00:00Z"},' ..
    '"metrics":{"rows":51234,"bytes":7654321,"ms":312.5},"correlation_id":"9e3779b1-1234",' ..
    '"actor":"svc-flext","tags":["singer","oracle","wms"]}}'
local run = tostring(os.time()) .. "-" .. tostring({}):sub(-6)

function init(arguments)
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.headers["Authorization"] = "Bearer " .. arguments[1]
end

function request()
    number = number + 1
    return wrk.format(nil, nil, nil, head .. run .. "-" .. number .. tail)
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"seconds":%f,"not_successful":%d,"broken":%d,"p50_ms":%f,"p99_ms":%f}\n',
        summary.requests, summary.duration / 1e6, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50) / 1000, latency:percentile(99) / 1000
    ))
end
