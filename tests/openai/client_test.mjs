// The public OpenAI client against a gateway:  node client_test.mjs GATEWAY MODEL
//
// Exits 0 and prints one line a check. The model server behind it (charlm-server) answers as many
// tokens as max_tokens asks for, and its tokens are single characters.
import assert from 'node:assert/strict';
import OpenAI from 'openai';

const [gateway, model] = process.argv.slice(2);
if (!gateway || !model) {
  console.error('usage: node client_test.mjs http://HOST:PORT MODEL');
  process.exit(2);
}
const client = new OpenAI({baseURL: `${gateway}/v1`, apiKey: process.env.ALLOT_TOKEN ?? 'none', maxRetries: 0});
const passed = what => console.log(`ok ${what}`);

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

// A known status, and a body that the client finds its way in.
async function refused(request, kind, status, says) {
  await assert.rejects(client.completions.create(request), error => {
    assert.ok(error instanceof kind, `${error}`);
    assert.equal(error.status, status);
    assert.equal(error.type, 'invalid_request_error');
    assert.ok(error.message.includes(says), error.message);
    return true;
  });
}
await refused({model: 'no-such-model', prompt: 'x'}, OpenAI.NotFoundError, 404, 'no-such-model');
await refused({prompt: 'x'}, OpenAI.BadRequestError, 400, 'model');
// What the model server itself refuses comes through as it was said.
await refused({model, prompt: 'x', max_tokens: 1_000_000}, OpenAI.BadRequestError, 400, 'max_tokens');
passed('errors in OpenAI\'s shape');
