// A client of gradstream for Node.js: the contract as it stands in protos/, a log that is followed over connections
// that break, and predictions. docs/clients.md tells the rules; `gradstream conformance run -- node train.mjs --json`
// proves that they are kept.

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const PROTOS = fileURLToPath(new URL("../../protos", import.meta.url));
const { UNAVAILABLE, INTERNAL, UNKNOWN, CANCELLED, RESOURCE_EXHAUSTED } = grpc.status;
const BROKEN = new Set([UNAVAILABLE, INTERNAL, UNKNOWN, CANCELLED]);
const LAST_STATES = new Set(["JOB_STATE_FAILED", "JOB_STATE_CANCELLED"]);
const PATIENCE_MS = 60_000; // without an event, while the server cannot be reached
const LONGEST_WAIT_MS = 3_000;

/** A client of `TrainingService` on a server, HOST:PORT. Fields are named as in the contract. */
export function connect(server) {
  const { TrainingService } = load("gradstream/v1/training_service.proto").gradstream.v1;
  return new TrainingService(server, grpc.credentials.createInsecure(), CONNECTION);
}

/** A client of the Open Inference Protocol on a server, HOST:PORT: what asks models. */
export function connectInference(server) {
  const { GRPCInferenceService } = load("inference/open_inference.proto").inference;
  return new GRPCInferenceService(server, grpc.credentials.createInsecure(), CONNECTION);
}

const CONNECTION = {
  "grpc.keepalive_time_ms": 30_000, // a connection that died without a word is noticed
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": LONGEST_WAIT_MS,
};

function load(proto) {
  const definition = protoLoader.loadSync(proto, {
    includeDirs: [PROTOS],
    keepCase: true,
    longs: Number, // sequences and epochs are far below 2^53
    enums: String,
    defaults: true,
    oneofs: true,
  });
  return grpc.loadPackageDefinition(definition);
}

/**
 * Starts a job and yields the events of its log, each once and in order, to the last. A job that has failed does not
 * throw: its last event tells. Throws what the server refuses, and what lasts longer than patience. `onRetry` is told why
 * it attaches again.
 */
export async function* train(client, spec, onRetry = () => {}) {
  // Made before anything is sent: the same request again is the same job.
  const request = { spec, request_id: randomUUID() };
  let job = "";
  let sequence = 0;
  let tries = 0;
  let lostAt = Infinity;
  for (;;) {
    const call = job ? client.WatchJob({ job, after_sequence: sequence }) : client.Train(request);
    let reason = "the stream has ended before the job";
    call.on("error", () => {}); // also one that comes when nobody reads any more
    try {
      for await (const event of call) {
        if (event.event === "heartbeat" || event.sequence <= sequence) continue;
        if (event.sequence > sequence + 1) break; // one is missing: attach again
        ({ job, sequence } = event);
        [tries, lostAt] = [0, Infinity];
        yield event;
        if (isLast(event)) return;
      }
    } catch (error) {
      if (!mayTryAgain(error, job) || Date.now() - lostAt > PATIENCE_MS) throw error;
      reason = error.details;
    } finally {
      call.cancel();
    }
    lostAt = Math.min(lostAt, Date.now());
    onRetry(reason);
    await sleep(Math.min(100 * 2 ** tries++, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2));
  }
}

/** Asks a model, { name, version }, for rows of numbers: a list of predictions for each of them. */
export async function predict(inference, { name, version }, rows) {
  const width = rows[0].length;
  const answer = await promisify(inference.ModelInfer.bind(inference))({
    model_name: name,
    model_version: String(version),
    inputs: [{ name: "features", datatype: "FP64", shape: [rows.length, width] }],
    raw_input_contents: [Buffer.from(Float64Array.from(rows.flat()).buffer)],
    outputs: [{ name: "predictions" }],
  });
  const { datatype, shape } = answer.outputs[0];
  const values = decoded(answer.raw_output_contents[0], datatype === "FP32" ? Float32Array : Float64Array);
  return rows.map((_, i) => values.slice(i * shape[1], (i + 1) * shape[1]));
}

/** The numbers of a tensor, one after the other in row-major order. */
export function numbers(tensor) {
  return decoded(tensor.data, tensor.dtype === "DTYPE_FLOAT32" ? Float32Array : Float64Array);
}

function decoded(data, kind) {
  const { buffer, byteOffset, length } = Uint8Array.from(data);
  return Array.from(new kind(buffer, byteOffset, length / kind.BYTES_PER_ELEMENT));
}

/** Whether no event can come after this one. */
function isLast(event) {
  return event.event === "completed" || LAST_STATES.has(event.state_change?.state);
}

/** Whether the same request may succeed a little later. */
function mayTryAgain(error, job) {
  // The server gives details with every error of its own; a connection that broke has none.
  const isOurs = error.metadata?.get("grpc-status-details-bin").length > 0;
  if (!isOurs) return BROKEN.has(error.code);
  // It is stopping, or as many streams are open as may be: to the server, the one that broke may still look open.
  return error.code === UNAVAILABLE || (job !== "" && error.code === RESOURCE_EXHAUSTED);
}
