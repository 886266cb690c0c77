import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { chatModels, client } from '../client.mjs';
import { failure } from '../check.mjs';
import { area } from './registry.mjs';

const models = area('models');

function assertModel(model) {
  assert.equal(model.object, 'model');
  assert.ok(Number.isInteger(model.created));
  assert.equal(typeof model.owned_by, 'string');
}

models('list', async () => {
  const page = await client.models.list();
  assert.equal(page.object, 'list');
  const ids = [];
  for await (const model of page) {
    assertModel(model);
    ids.push(model.id);
  }
  for (const id of [...chatModels, 'sim-embedding', 'sim-moderation']) assert.ok(ids.includes(id), `no ${id} among ${ids}`);
  assert.equal(new Set(ids).size, ids.length);
});

models('retrieve', async () => {
  for (const id of chatModels) {
    const model = await client.models.retrieve(id);
    assertModel(model);
    assert.equal(model.id, id);
  }
});

models('retrieve one that there is not', async () => {
  await failure(client.models.retrieve('no-such-model'), OpenAI.NotFoundError, { status: 404, code: 'model_not_found' });
});
