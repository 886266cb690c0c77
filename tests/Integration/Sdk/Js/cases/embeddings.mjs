import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { client } from '../client.mjs';
import { failure } from '../check.mjs';
import { area } from './registry.mjs';

const embeddings = area('embeddings');
const model = 'sim-embedding';
// "hello" of o200k_base.
const HELLO = [24912];

function assertList(reply, count) {
  assert.equal(reply.object, 'list');
  assert.equal(reply.model, model);
  assert.deepEqual(reply.data.map((e) => [e.object, e.index]), Array.from({ length: count }, (_, i) => ['embedding', i]));
  assert.ok(reply.usage.prompt_tokens > 0);
  assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens);
}

async function vectors(params) {
  const reply = await client.embeddings.create({ model, ...params });
  assertList(reply, params.count ?? 1);
  return reply.data.map((e) => e.embedding);
}

embeddings('a text', async () => {
  const [vector] = await vectors({ input: 'hello' });
  assert.ok(vector.every((v) => typeof v === 'number'));
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3, 'not of length 1');
});

embeddings('float and base64 are the same vector', async () => {
  const [byDefault] = await vectors({ input: 'hello' });
  const [float] = await vectors({ input: 'hello', encoding_format: 'float' });
  const [base64] = await vectors({ input: 'hello', encoding_format: 'base64' });
  // The SDK asks for base64 by itself, and decodes it then; asked for by name, it stays as it came.
  const decoded = typeof base64 === 'string' ? floats(base64) : base64;
  assert.deepEqual(decoded, byDefault);
  assert.equal(float.length, byDefault.length);
  float.forEach((v, i) => assert.ok(Math.abs(v - byDefault[i]) < 1e-6));
});

embeddings('dimensions', async () => {
  assert.deepEqual((await vectors({ input: 'hello', dimensions: 16 })).map((v) => v.length), [16]);
});

embeddings('texts, in their order', async () => {
  const reply = await client.embeddings.create({ model, input: ['red', 'green', 'red'] });
  assertList(reply, 3);
  const [red, green, again] = reply.data.map((e) => e.embedding);
  assert.deepEqual(red, again);
  assert.notDeepEqual(red, green);
});

embeddings('tokens, and arrays of them', async () => {
  const [text] = await vectors({ input: 'hello' });
  assert.deepEqual(await vectors({ input: HELLO }), [text]);
  const reply = await client.embeddings.create({ model, input: [HELLO, HELLO] });
  assertList(reply, 2);
  assert.deepEqual(reply.data.map((e) => e.embedding), [text, text]);
});

embeddings('an empty text is refused, and named', async () => {
  await failure(client.embeddings.create({ model, input: ['good', ''] }), OpenAI.BadRequestError, { param: 'input[1]' });
});

embeddings('a model for chat is refused', async () => {
  await failure(client.embeddings.create({ model: 'sim-large', input: 'x' }), OpenAI.BadRequestError, { param: 'model' });
});

function floats(base64) {
  const bytes = Buffer.from(base64, 'base64');
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4));
}
