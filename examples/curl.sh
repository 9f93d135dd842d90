#!/usr/bin/env bash
# Trains the reference experiment without any client of gradstream: by buf, which speaks gRPC and learns the contract
# from the server itself. Messages are the JSON of Protocol Buffers. buf is an npm package, @bufbuild/buf.
#
#     examples/curl.sh [HOST:PORT]
set -euo pipefail

server=${1:-${GRADSTREAM_SERVER:-127.0.0.1:50051}}
buf=$(command -v buf || echo "$(dirname "$0")/../node_modules/.bin/buf")

call() { # SERVICE/METHOD JSON
    "$buf" curl --protocol grpc --http2-prior-knowledge --data "$2" "http://$server/gradstream.v1.$1"
}

# Sent twice it is the same job still: its request_id is the same.
request='{"spec": {"trainer": "manual", "reportEvery": 5}, "requestId": "'$(cat /proc/sys/kernel/random/uuid)'"}'
call TrainingService/CreateJob "$request" > /dev/null
job=$(call TrainingService/CreateJob "$request" | grep -m 1 '"id"' | cut -d '"' -f 4)

echo "# The log of job $job, to its end"
call TrainingService/WatchJob '{"job": "'"$job"'"}'

echo "# The same behind its third event, as who was cut off there asks for it"
call TrainingService/WatchJob '{"job": "'"$job"'", "afterSequence": 3}'

echo "# The job as it stands"
call TrainingService/GetJob '{"job": "'"$job"'"}'
