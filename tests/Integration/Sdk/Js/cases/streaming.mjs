import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { anthropicWire, chatModels, client, openAiWire, unique, user } from '../client.mjs';
import { ask, assertCompletion, folded, streamed } from '../check.mjs';
import { area } from './registry.mjs';

const streaming = area('streaming');
const LONG = `say exactly: ${'word '.repeat(400)}`;

for (const model of chatModels) {
  // check.mjs holds every chunk to what the reference says of the field.
  for (const stream_options of [undefined, null, { include_usage: false }, { include_usage: true }]) {
    streaming(`stream_options ${JSON.stringify(stream_options)}, ${model}`, async () => {
      const { choices, usage } = await streamed({ model, stream_options, messages: [user('say exactly: one two three')] });
      assert.equal(choices[0].content, 'one two three');
      assert.equal(usage !== undefined, stream_options?.include_usage === true);
    });
  }

  streaming(`token by token, ${model}`, async () => {
    const { chunks } = await streamed({ model, messages: [user('say exactly: one two three four five')] });
    assert.ok(chunks.filter((c) => c.choices[0].delta.content).length >= 5, 'the text came in fewer pieces than words');
  });

  streaming(`a reply from the cache, in both deliveries, ${model}`, async () => {
    const options = { headers: { 'X-AiAspire-Cache': 'use' } };
    const params = { model, messages: [user(`Tell me about ${unique()}.`)] };
    const first = await ask('streamed', params, options);
    const { data, response } = await client.chat.completions.create(params, options).withResponse();
    assert.equal(response.headers.get('x-aiaspire-cache'), 'hit');
    assertCompletion(data);
    assert.equal(data.choices[0].message.content, first.choices[0].content);
    for (const include_usage of [true, false]) {
      const again = await streamed({ ...params, stream_options: { include_usage } }, options);
      assert.equal(again.choices[0].content, first.choices[0].content);
    }
  });

  streaming(`the SDK's stream helper, ${model}`, async () => {
    const stream = client.chat.completions.stream({ model, stream_options: { include_usage: true }, messages: [user('say exactly: helped along')] });
    const deltas = [];
    const done = [];
    stream.on('content.delta', ({ delta }) => deltas.push(delta)).on('content.done', ({ content }) => done.push(content));
    const completion = await stream.finalChatCompletion();
    assertCompletion(completion);
    assert.equal(completion.choices[0].message.content, 'helped along');
    assert.deepEqual([deltas.join(''), done], ['helped along', ['helped along']]);
    assert.equal((await stream.totalUsage()).total_tokens, completion.usage.total_tokens);
  });

  streaming(`the caller breaks off, ${model}`, async () => {
    const stream = await client.chat.completions.create({ model, stream: true, messages: [user(LONG)] });
    let chunks = 0;
    for await (const _ of stream) if (++chunks === 3) break;
    assert.ok(stream.controller.signal.aborted);
    // What was broken off holds up nothing.
    assertCompletion(await client.chat.completions.create({ model, messages: [user('say exactly: x')] }));
  });

  streaming(`the caller aborts before the answer, ${model}`, async () => {
    const controller = new AbortController();
    const asked = client.chat.completions.create({ model, stream: true, messages: [user(LONG)] }, { signal: controller.signal });
    controller.abort();
    await assert.rejects(async () => await asked, OpenAI.APIUserAbortError);
  });

  streaming(`the SDK's stream helper is aborted, ${model}`, async () => {
    const stream = client.chat.completions.stream({ model, messages: [user(LONG)] });
    stream.once('content', () => stream.abort());
    await assert.rejects(stream.done(), OpenAI.APIUserAbortError);
  });
}

streaming('a choice of two, token by token, each whole', async () => {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ model: openAiWire, n: 2, stream: true, logprobs: true, messages: [user('say exactly: a b c')] })) chunks.push(chunk);
  const { choices } = folded(chunks, { n: 2 });
  assert.deepEqual(choices.map((c) => [c.content, c.logprobs.map((t) => t.token).join('')]), [['a b c', 'a b c'], ['a b c', 'a b c']]);
});

streaming(`the response's headers and id, ${anthropicWire}`, async () => {
  const { data, response, request_id } = await client.chat.completions.create({ model: anthropicWire, stream: true, messages: [user('say exactly: x')] }).withResponse();
  for await (const _ of data);
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  assert.ok(request_id);
});
