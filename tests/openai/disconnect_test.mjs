// A client that leaves in the middle of a stream:  node disconnect_test.mjs GATEWAY MODEL TIMES
//
// Prints a line for each time:  left UNIX_MS books MS
// when the client left, and how long after that the gateway's books had the replica free. The model
// server behind it must stream for far longer than that, so that nothing ends by itself.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [gateway, model, count] = process.argv.slice(2);
if (!gateway || !model || !(count > 0)) {
  console.error('usage: node disconnect_test.mjs http://HOST:PORT MODEL TIMES');
  process.exit(2);
}
const client = new OpenAI({baseURL: `${gateway}/v1`, apiKey: process.env.ALLOT_TOKEN ?? 'none', maxRetries: 0});

async function inFlight() {
  const headers = {authorization: `Bearer ${process.env.ALLOT_TOKEN ?? 'none'}`};
  const answer = await (await fetch(`${gateway}/allot/v1/deployments`, {headers})).json();
  return answer.deployments.find(d => d.name === model).in_flight;
}
// Asks again until it is so; each question is a whole round trip, and the deadline only bounds a failure.
async function untilFree() {
  const start = performance.now();
  while ((await inFlight()) !== 0) assert.ok(performance.now() - start < 100_000, 'the replica was never free');
}

await untilFree();
for (let i = 0; i < count; ++i) {
  const stream = await client.completions.create({model, prompt: 'word ', max_tokens: 1_000_000, stream: true});
  let left, start;
  for await (const chunk of stream) {
    assert.equal(chunk.choices[0].text, 'word ');
    assert.equal(await inFlight(), 1);
    left = Date.now();
    start = performance.now();
    break; // The client closes the connection of a stream that is not read to its end.
  }
  await untilFree();
  console.log(`left ${left} books ${(performance.now() - start).toFixed(1)}`);
}
