-- Sends the requests of a file, one a line (method, path, body), in turns; prints the result as JSON.
local requests, position = {}, 0

function init(arguments)
  local headers = {}
  if arguments[2] and arguments[2] ~= "" then headers["Authorization"] = "Bearer " .. arguments[2] end
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    if body == "" then
      requests[#requests + 1] = wrk.format(method, path, headers)
    else
      headers["Content-Type"] = "application/json"
      requests[#requests + 1] = wrk.format(method, path, headers, body)
    end
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
