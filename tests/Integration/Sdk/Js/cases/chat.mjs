import assert from 'node:assert/strict';
import { anthropicWire, chatModels, client, openAiWire, unique, user } from '../client.mjs';
import { ask, askOne, assertCompletion } from '../check.mjs';
import { area, modes } from './registry.mjs';

const chat = area('chat');
const PIXEL = 'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';
// A rule of the Simulator that holds under this system text only.
const SHOP = { content: 'You are the support of Northwind Bikes.' };
const FRIDAY = user('Are you open on Fridays?');

for (const mode of modes) {
  for (const model of ['sim-large', 'sim-small', 'sim-anthropic-large', 'sim-anthropic-small']) {
    chat(`text, ${model}, ${mode}`, async () => {
      const { content, finish, usage } = await askOne(mode, { model, messages: [user('say exactly: Grüße, 世界 👋🏽\n“quoted” \\ and\ttabbed')] });
      assert.equal(content, 'Grüße, 世界 👋🏽\n“quoted” \\ and\ttabbed');
      assert.equal(finish, 'stop');
      assert.ok(usage.completion_tokens > 0);
    });
  }

  for (const model of chatModels) {
    for (const role of ['system', 'developer']) {
      chat(`the role ${role}, ${model}, ${mode}`, async () => {
        const { content } = await askOne(mode, { model, messages: [{ role, ...SHOP }, FRIDAY] });
        assert.equal(content, 'On Fridays we are open until 18:00.');
      });
    }

    chat(`several turns, ${model}, ${mode}`, async () => {
      const first = user('say exactly: one');
      const { content, usage: before } = await askOne(mode, { model, messages: [first] });
      const { content: then, usage: after } = await askOne(mode, { model, messages: [first, { role: 'assistant', content }, user('say exactly: two')] });
      assert.deepEqual([content, then], ['one', 'two']);
      assert.ok(after.prompt_tokens > before.prompt_tokens);
    });

    chat(`messages as parts of content, ${model}, ${mode}`, async () => {
      const messages = [
        { role: 'system', content: [{ type: 'text', text: SHOP.content }] },
        { role: 'user', content: [{ type: 'text', text: 'Good day.' }] },
        { role: 'assistant', content: [{ type: 'text', text: 'How can I help?' }] },
        { role: 'user', content: [{ type: 'text', text: FRIDAY.content }] },
      ];
      assert.equal((await askOne(mode, { model, messages })).content, 'On Fridays we are open until 18:00.');
    });

    chat(`an image as a data URL, ${model}, ${mode}`, async () => {
      const text = { type: 'text', text: 'say exactly: seen' };
      const image = { type: 'image_url', image_url: { url: PIXEL, detail: 'low' } };
      const plain = await askOne(mode, { model, messages: [user([text])] });
      const seen = await askOne(mode, { model, messages: [user([text, image])] });
      assert.equal(seen.content, 'seen');
      assert.ok(seen.usage.prompt_tokens > plain.usage.prompt_tokens, 'the image counts nothing, so it did not come to the model');
    });

    for (const stop of ['three', ['four', 'three']]) {
      chat(`stop ${JSON.stringify(stop)}, ${model}, ${mode}`, async () => {
        const { content, finish } = await askOne(mode, { model, stop, messages: [user('say exactly: one two three four')] });
        // "The returned text will not contain the stop sequence."
        assert.equal(content, 'one two ');
        assert.equal(finish, 'stop');
      });
    }

    for (const limit of ['max_tokens', 'max_completion_tokens']) {
      chat(`${limit}, ${model}, ${mode}`, async () => {
        const { content, finish, usage } = await askOne(mode, { model, [limit]: 3, messages: [user('say exactly: one two three four five six seven')] });
        assert.equal(content, 'one two three');
        assert.equal(finish, 'length');
        assert.equal(usage.completion_tokens, 3);
      });
    }

    chat(`what describes the caller, and fields that ask for nothing, ${model}, ${mode}`, async () => {
      const { content } = await askOne(mode, {
        model, user: 'a-user', metadata: { purpose: 'conformance' }, store: false, n: 1, logprobs: false, stop: null, seed: null, tools: undefined, messages: [user('say exactly: fine')],
      });
      assert.equal(content, 'fine');
    });
  }

  chat(`seed, temperature and top_p, ${openAiWire}, ${mode}`, async () => {
    const params = { model: openAiWire, seed: 7, temperature: 0.2, top_p: 0.9, messages: [user(`Tell me about ${unique()}.`)] };
    const [first, second] = [await askOne(mode, params), await askOne(mode, params)];
    assert.equal(first.content, second.content);
  });

  chat(`n, ${openAiWire}, ${mode}`, async () => {
    const { choices, usage } = await ask(mode, { model: openAiWire, n: 2, messages: [user('say exactly: twice')] });
    assert.deepEqual(choices.map((c) => [c.content, c.finish]), [['twice', 'stop'], ['twice', 'stop']]);
    const { usage: single } = await ask(mode, { model: openAiWire, messages: [user('say exactly: twice')] });
    assert.equal(usage.completion_tokens, 2 * single.completion_tokens);
    assert.equal(usage.prompt_tokens, single.prompt_tokens);
  });

  chat(`logprobs, ${openAiWire}, ${mode}`, async () => {
    const { content, logprobs } = await askOne(mode, { model: openAiWire, logprobs: true, top_logprobs: 3, messages: [user('say exactly: likely words')] });
    assert.equal(logprobs.map((t) => t.token).join(''), content);
    for (const token of logprobs) {
      assert.ok(token.logprob <= 0);
      assert.deepEqual(token.bytes, [...Buffer.from(token.token)]);
      assert.equal(token.top_logprobs.length, 3);
    }
  });

  chat(`reasoning tokens, sim-reasoning, ${mode}`, async () => {
    const { usage } = await askOne(mode, { model: 'sim-reasoning', reasoning_effort: 'low', messages: [user('say exactly: thought')] });
    assert.ok(usage.completion_tokens_details.reasoning_tokens > 0);
  });
}

chat('logprobs that nobody asked for are null', async () => {
  const completion = await client.chat.completions.create({ model: openAiWire, messages: [user('say exactly: x')] });
  assert.equal(completion.choices[0].logprobs, null);
});

chat('cached tokens of a long prompt', async () => {
  const messages = [{ role: 'system', content: `${unique()} ${'A long preface. '.repeat(700)}` }, user('say exactly: x')];
  const cached = async () => (await client.chat.completions.create({ model: openAiWire, messages })).usage.prompt_tokens_details.cached_tokens;
  assert.equal(await cached(), 0);
  assert.ok((await cached()) >= 1024);
});

chat('an alias of two companies', async () => assertCompletion(await client.chat.completions.create({ model: 'sim-resilient', messages: [user('say exactly: x')] })));

chat(`the response's headers and id, ${anthropicWire}`, async () => {
  const { data, response, request_id } = await client.chat.completions.create({ model: anthropicWire, messages: [user('say exactly: x')] }).withResponse();
  assert.match(response.headers.get('content-type'), /^application\/json/);
  assert.equal(request_id, response.headers.get('x-request-id'));
  assert.equal(data._request_id, request_id);
  assert.notEqual(request_id, null);
});
