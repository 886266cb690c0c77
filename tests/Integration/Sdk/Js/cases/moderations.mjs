import assert from 'node:assert/strict';
import { client } from '../client.mjs';
import { assertId } from '../check.mjs';
import { area } from './registry.mjs';

const moderations = area('moderations');
const CATEGORIES = [
  'harassment', 'harassment/threatening', 'hate', 'hate/threatening', 'illicit', 'illicit/violent', 'self-harm', 'self-harm/instructions', 'self-harm/intent',
  'sexual', 'sexual/minors', 'violence', 'violence/graphic',
];

function assertModeration(moderation, flagged) {
  assertId(moderation.id);
  assertId(moderation.model);
  assert.deepEqual(moderation.results.map((r) => r.flagged), flagged);
  for (const result of moderation.results) {
    for (const field of ['categories', 'category_scores', 'category_applied_input_types']) assert.deepEqual(Object.keys(result[field]).sort(), CATEGORIES);
    assert.ok(Object.values(result.categories).every((c) => typeof c === 'boolean'));
    assert.ok(Object.values(result.category_scores).every((s) => s >= 0 && s <= 1));
    assert.equal(Object.values(result.categories).includes(true), result.flagged);
    assert.ok(Object.values(result.category_applied_input_types).flat().every((t) => t === 'text' || t === 'image'));
  }
}

moderations('a text', async () => assertModeration(await client.moderations.create({ model: 'sim-moderation', input: 'a nice day' }), [false]));

moderations('without a model', async () => assertModeration(await client.moderations.create({ input: 'i will kill you' }), [true]));

moderations('texts, in their order', async () => {
  const moderation = await client.moderations.create({ model: 'sim-moderation', input: ['i will kill you', 'a nice day'] });
  assertModeration(moderation, [true, false]);
  assert.equal(moderation.results[0].categories['harassment/threatening'], true);
});

moderations('parts of content', async () => {
  const input = [{ type: 'text', text: 'blood everywhere' }, { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }];
  const moderation = await client.moderations.create({ model: 'sim-moderation', input });
  assertModeration(moderation, [true]);
  assert.deepEqual(moderation.results[0].category_applied_input_types['violence/graphic'], ['text', 'image']);
});
