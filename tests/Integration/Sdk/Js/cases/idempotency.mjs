import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { baseURL, chatModels, client, unique, user } from '../client.mjs';
import { assertCompletion, failure, streamed } from '../check.mjs';
import { area } from './registry.mjs';

const idempotency = area('idempotency');

for (const model of chatModels) {
  idempotency(`a repeat is the same answer, whole, ${model}`, async () => {
    const params = { model, messages: [user(`Tell me about ${unique()}.`)] };
    const options = { headers: { 'Idempotency-Key': unique() } };
    const first = await client.chat.completions.create(params, options);
    const { data: second, response } = await client.chat.completions.create(params, options).withResponse();
    assertCompletion(second);
    assert.deepEqual(second, first);
    assert.equal(response.headers.get('idempotent-replayed'), 'true');
  });

  idempotency(`a repeat is the same answer, streamed, ${model}`, async () => {
    const params = { model, stream_options: { include_usage: true }, messages: [user(`Tell me about ${unique()}.`)] };
    const options = { headers: { 'Idempotency-Key': unique() } };
    const { chunks } = await streamed(params, options);
    assert.deepEqual((await streamed(params, options)).chunks, chunks);
  });
}

idempotency("the SDK's own option", async () => {
  // Generated for every API of its maker; the name of the header is for a client to set.
  const own = new OpenAI({ baseURL, apiKey: client.apiKey, maxRetries: 0 });
  own.idempotencyHeader = 'Idempotency-Key';
  const [params, options] = [{ model: 'sim-large', messages: [user(`Tell me about ${unique()}.`)] }, { idempotencyKey: unique() }];
  const first = await own.chat.completions.create(params, options);
  assert.deepEqual(await own.chat.completions.create(params, options), first);
});

idempotency('another request under the same key', async () => {
  const options = { headers: { 'Idempotency-Key': unique() } };
  await client.embeddings.create({ model: 'sim-embedding', input: 'one' }, options);
  await failure(client.embeddings.create({ model: 'sim-embedding', input: 'two' }, options), OpenAI.UnprocessableEntityError, { status: 422, code: 'idempotency_key_reused' });
});
