import assert from 'node:assert/strict';
import OpenAI, { toFile } from 'openai';
import { setTimeout as pause } from 'node:timers/promises';
import { chatModels, client, user } from '../client.mjs';
import { assertCompletion, assertId, assertRecent, failure } from '../check.mjs';
import { area } from './registry.mjs';

const batches = area('batches');
const OVER = ['completed', 'failed', 'expired', 'cancelled'];
const lines = (objects) => objects.map((o) => JSON.stringify(o)).join('\n') + '\n';
const request = (custom_id, url, body) => ({ custom_id, method: 'POST', url, body });

async function upload(content) {
  const file = await client.files.create({ file: await toFile(Buffer.from(content), 'requests.jsonl'), purpose: 'batch' });
  assertId(file.id);
  assertRecent(file.created_at);
  assert.deepEqual(
    { object: file.object, bytes: file.bytes, filename: file.filename, purpose: file.purpose },
    { object: 'file', bytes: Buffer.byteLength(content), filename: 'requests.jsonl', purpose: 'batch' });
  return file;
}

async function over(id) {
  for (;;) {
    const batch = await client.batches.retrieve(id);
    if (OVER.includes(batch.status)) return batch;
    await pause(200);
  }
}

batches('files: upload, retrieve, list, content, delete', async () => {
  const content = lines([request('a', '/v1/embeddings', { model: 'sim-embedding', input: 'é' })]);
  const { id } = await upload(content);
  assert.equal((await client.files.retrieve(id)).id, id);
  const listed = [];
  for await (const file of client.files.list({ purpose: 'batch', limit: 5 })) {
    listed.push(file.id);
    if (file.id === id) break;
  }
  assert.ok(listed.includes(id));
  assert.equal(await (await client.files.content(id)).text(), content);
  assert.deepEqual(await client.files.delete(id), { id, object: 'file', deleted: true });
  await failure(client.files.retrieve(id), OpenAI.NotFoundError, { status: 404 });
});

batches('a batch of chat: create, retrieve, list, and its output in order', async () => {
  const requests = chatModels.map((model, i) => request(`line-${i}`, '/v1/chat/completions', { model, messages: [user(`say exactly: answer ${i}`)] }));
  const input = await upload(lines(requests));
  const created = await client.batches.create({ input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h', metadata: { of: 'conformance' } });
  assertId(created.id);
  assertRecent(created.created_at);
  assert.equal(created.object, 'batch');
  assert.deepEqual([created.endpoint, created.input_file_id, created.completion_window], ['/v1/chat/completions', input.id, '24h']);
  assert.deepEqual({ ...created.metadata }, { of: 'conformance' });

  const batch = await over(created.id);
  assert.equal(batch.status, 'completed', JSON.stringify(batch.errors));
  assert.deepEqual({ ...batch.request_counts }, { total: 2, completed: 2, failed: 0 });
  for (const at of ['in_progress_at', 'finalizing_at', 'completed_at']) assertRecent(batch[at]);
  assert.ok(batch.expires_at > batch.created_at);

  const output = (await (await client.files.content(batch.output_file_id)).text()).trimEnd().split('\n').map((l) => JSON.parse(l));
  assert.deepEqual(output.map((l) => l.custom_id), requests.map((r) => r.custom_id));
  for (const [i, line] of output.entries()) {
    assertId(line.id);
    assert.equal(line.error, null);
    assert.equal(line.response.status_code, 200);
    assertId(line.response.request_id);
    assertCompletion(line.response.body);
    assert.equal(line.response.body.choices[0].message.content, `answer ${i}`);
  }

  const ids = [];
  for await (const listed of client.batches.list({ limit: 3 })) {
    ids.push(listed.id);
    if (listed.id === batch.id) break;
  }
  assert.ok(ids.includes(batch.id));
});

batches('what fails of a batch is in its error file', async () => {
  const input = await upload(lines([
    request('good', '/v1/embeddings', { model: 'sim-embedding', input: 'hello' }),
    request('bad', '/v1/embeddings', { model: 'no-such-model', input: 'hello' }),
  ]));
  const { id } = await client.batches.create({ input_file_id: input.id, endpoint: '/v1/embeddings', completion_window: '24h' });
  const batch = await over(id);
  assert.deepEqual({ ...batch.request_counts }, { total: 2, completed: 1, failed: 1 });
  const [line] = (await (await client.files.content(batch.error_file_id)).text()).trimEnd().split('\n').map((l) => JSON.parse(l));
  assert.equal(line.custom_id, 'bad');
  assert.equal(line.response.status_code, 404);
  assert.equal(line.response.body.error.code, 'model_not_found');
});

batches('a batch of no file is refused', async () => {
  await failure(
    client.batches.create({ input_file_id: 'file-none', endpoint: '/v1/embeddings', completion_window: '24h' }), OpenAI.NotFoundError, { status: 404, param: 'input_file_id' });
});
