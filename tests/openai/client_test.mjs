// The public OpenAI client against a gateway:  node client_test.mjs GATEWAY MODEL
//
// Exits 0 and prints one line a check. The model server behind it answers as many tokens as
// max_tokens asks for, so a stream of many tokens is certainly unfinished when it is left.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [gateway, model] = process.argv.slice(2);
if (!gateway || !model) {
  console.error('usage: node client_test.mjs http://HOST:PORT MODEL');
  process.exit(2);
}
const client = new OpenAI({baseURL: `${gateway}/v1`, apiKey: process.env.ALLOT_TOKEN ?? 'none', maxRetries: 0});
const passed = what => console.log(`ok ${what}`);

async function inFlight() {
  const answer = await (await fetch(`${gateway}/allot/v1/deployments`, {headers: {authorization: `Bearer ${process.env.ALLOT_TOKEN ?? 'none'}`}})).json();
  return answer.deployments.find(d => d.name === model).in_flight;
}
// Asks again until it is so; each question is a whole round trip, and the deadline only bounds a failure.
async function until(condition, what) {
  const start = performance.now();
  while (!(await condition())) assert.ok(performance.now() - start < 30_000, `never came true: ${what}`);
  return performance.now() - start;
}

const models = await client.models.list();
assert.ok(models.data.some(m => m.id === model));
passed('models');

const {data: completion, response} = await client.completions.create({model, prompt: 'LOVE, n. ', max_tokens: 24}).withResponse();
assert.equal(completion.object, 'text_completion');
assert.equal(completion.choices[0].text.length, 24);
assert.equal(completion.usage.completion_tokens, 24);
for (const header of ['x-allot-request-id', 'x-allot-node', 'x-allot-device', 'x-allot-price-usd-per-hour', 'x-allot-reason', 'x-allot-emulated'])
  assert.ok(response.headers.get(header), `header ${header}`);
passed(`completion, from ${response.headers.get('x-allot-device')} because ${response.headers.get('x-allot-reason')}`);

let text = '', events = 0;
for await (const chunk of await client.completions.create({model, prompt: 'LOVE, n. ', max_tokens: 24, stream: true})) {
  text += chunk.choices[0].text;
  ++events;
}
assert.equal(text.length, 24);
assert.ok(events >= 24);
passed('completion, streamed');

const messages = [{role: 'user', content: 'LOVE, n. '}];
const chat = await client.chat.completions.create({model, messages, max_tokens: 24});
assert.equal(chat.object, 'chat.completion');
assert.equal(chat.choices[0].message.role, 'assistant');
assert.equal(chat.choices[0].message.content.length, 24);
passed('chat');

text = '';
for await (const chunk of await client.chat.completions.create({model, messages, max_tokens: 24, stream: true})) text += chunk.choices[0].delta.content ?? '';
assert.equal(text.length, 24);
passed('chat, streamed');

await assert.rejects(client.completions.create({model: 'no-such-model', prompt: 'x'}), error => error instanceof OpenAI.NotFoundError && error.message.includes('no-such-model'));
await assert.rejects(client.completions.create({prompt: 'x'}), error => error instanceof OpenAI.BadRequestError);
passed('errors in OpenAI\'s shape');

// Left in the middle: the replica must be free long before it could have finished.
await until(async () => (await inFlight()) === 0, 'idle');
const times = [];
for (let i = 0; i < 10; ++i) {
  const controller = new AbortController();
  const stream = await client.completions.create({model, prompt: 'x', max_tokens: 4096, stream: true}, {signal: controller.signal});
  for await (const chunk of stream) {
    assert.equal(await inFlight(), 1);
    break;
  }
  controller.abort();
  times.push(await until(async () => (await inFlight()) === 0, 'the replica is free'));
}
times.sort((a, b) => a - b);
console.log(`ok disconnect frees the replica: median ${times[5].toFixed(1)} ms, slowest ${times[9].toFixed(1)} ms of 10`);
