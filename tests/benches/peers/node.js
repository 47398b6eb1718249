// Worker threads of Node: one made for a job, and some that are there already. See README.md.
"use strict";

const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");
const { once } = require("node:events");
const readline = require("node:readline");

const now = process.hrtime.bigint;
const size = Number(process.argv[2]);
let workers = [];

function pool() {
  while (workers.length < size) workers.push(new Worker(__filename));
  return workers;
}

async function each(count, pause, call) {
  const times = [];
  for (let number = 0; number < count; number++) {
    if (pause) await new Promise((resolve) => setTimeout(resolve, pause / 1000));
    const begun = now();
    await call(number);
    times.push(now() - begun);
  }
  return times;
}

const commands = {
  fresh: (count, pause) =>
    each(count, pause, async (number) => {
      const worker = new Worker(__filename, { workerData: { number } });
      const ended = once(worker, "exit");
      const [value] = await once(worker, "message");
      if (value !== number) throw new Error("another number came back");
      await ended;
    }),

  warm(count, pause) {
    const [worker] = pool();
    return each(count, pause, (number) => {
      const answer = once(worker, "message");
      worker.postMessage(number);
      return answer;
    });
  },

  batch(count) {
    const all = pool();
    return each(1, 0, () => {
      let left = count;
      return new Promise((resolve) => {
        for (const worker of all) {
          worker.removeAllListeners("message");
          worker.on("message", () => --left === 0 && resolve());
        }
        for (let number = 0; number < count; number++) all[number % all.length].postMessage(number);
      }).finally(() => all.forEach((worker) => worker.removeAllListeners("message")));
    });
  },

  payload(count, bytes) {
    const [worker] = pool();
    const data = new Uint8Array(bytes).fill(120);
    return each(count, 0, async () => {
      const answer = once(worker, "message");
      worker.postMessage(data);
      const [back] = await answer;
      if (back.length !== bytes) throw new Error("another length came back");
    });
  },
};

async function serve() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...numbers] = line.split(" ");
    if (name === "quit") break;
    const times = commands[name] ? await commands[name](...numbers.map(Number)) : [];
    process.stdout.write(times.join(" ") + "\n");
  }
  process.exit(0);
}

if (isMainThread) serve();
else if (workerData) parentPort.postMessage(workerData.number);
else parentPort.on("message", (value) => parentPort.postMessage(value));
