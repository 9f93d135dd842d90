// Trains the reference experiment of a trainer, shows what it has learnt, and asks the model that is left:
//
//     node train.mjs [--trainer manual] [--epochs 20] [--report-every 1] [--json]
//
// The server is the one that GRADSTREAM_SERVER names, else 127.0.0.1:50051. With --json it prints an object a line,
// for programs and for `gradstream conformance run`. Exits with 1 for a job that was not trained to its end.

import { parseArgs } from "node:util";
import { connect, connectInference, numbers, predict, train } from "./gradstream.mjs";

const { values: options } = parseArgs({
  options: {
    trainer: { type: "string", default: "manual" },
    epochs: { type: "string" },
    "report-every": { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const spec = { trainer: options.trainer };
if (options.epochs) spec.epochs = Number(options.epochs);
if (options["report-every"]) spec.report_every = Number(options["report-every"]);

const server = process.env.GRADSTREAM_SERVER ?? "127.0.0.1:50051";
const client = connect(server);
const inference = connectInference(server);
const tellRetry = (reason) => console.error(`no connection to ${server} (${reason}); trying again ...`);
const show = options.json ? showJson : showText;
try {
  let last;
  for await (last of train(client, spec, tellRetry)) show(last);
  process.exitCode = last.event === "completed" ? 0 : 1;
  if (last.completed && !options.json) await ask(last.completed.model);
} catch (error) {
  console.error(`Error: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
  inference.close();
}

async function ask(model) {
  const predictions = await predict(inference, model, [[6], [7]]);
  console.log(`version ${model.version} of model ${model.name}: f(6), f(7) = ${predictions.map(([y]) => y.toFixed(3)).join(", ")}`);
}

function showText({ event, job, epoch_updates, state_change, completed }) {
  if (event === "state_change") {
    const state = state_change.state.replace("JOB_STATE_", "").toLowerCase();
    console.log(`job ${job} is ${state}${state_change.reason && `: ${state_change.reason}`}`);
  } else if (event === "epoch_updates") {
    const { epochs, losses } = epoch_updates;
    epochs.forEach((epoch, i) => console.log(`epoch ${epoch}: loss = ${losses[i]}`));
  } else if (event === "completed") {
    for (const { name, value } of completed.parameters) console.log(`${name} = ${numbers(value).join(", ")}`);
    if (completed.predictions) console.log(`f(5) = ${numbers(completed.predictions)[0].toFixed(3)}`);
  }
}

function showJson({ event, sequence, epoch_updates, state_change, completed }) {
  if (event === "epoch_updates") {
    const { epochs, losses } = epoch_updates;
    epochs.forEach((epoch, i) => print({ event: "epoch_update", sequence, epoch, loss: losses[i] }));
  } else if (event === "state_change") {
    print({ event, sequence, state: state_change.state.replace("JOB_STATE_", "") });
  } else if (event === "completed") {
    print({ event, sequence, final_loss: completed.final_loss });
  }
}

function print(value) {
  console.log(JSON.stringify(value));
}
