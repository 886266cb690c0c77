import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { anthropicWire, baseURL, chatModels, client, limited, openAiWire, user } from '../client.mjs';
import { failure } from '../check.mjs';
import { area, modes } from './registry.mjs';

const errors = area('errors');
const messages = [user('say exactly: x')];

for (const mode of modes) {
  const ask = (params, by = client) => by.chat.completions.create({ model: openAiWire, messages, ...params, stream: mode === 'streamed' });

  errors(`a wrong key, ${mode}`, async () => {
    const error = await failure(ask({}, new OpenAI({ baseURL, apiKey: 'sk-wrong', maxRetries: 0 })), OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key' });
    assert.equal(error.type, 'invalid_request_error');
    assert.ok(error.requestID);
    // What does not look like a key is taken for a token.
    await failure(ask({}, new OpenAI({ baseURL, apiKey: 'wrong', maxRetries: 0 })), OpenAI.AuthenticationError, { status: 401, code: 'invalid_token' });
  });

  errors(`an unknown model, ${mode}`, async () => {
    const error = await failure(ask({ model: 'no-such-model' }), OpenAI.NotFoundError, { status: 404, code: 'model_not_found', type: 'invalid_request_error' });
    assert.equal(error.requestID, error.headers.get('x-request-id'));
  });

  // Ours refuse these before a provider sees them.
  for (const [param, params] of Object.entries({
    messages: { messages: undefined },
    temperature: { temperature: 3 },
    top_p: { top_p: 'much' },
    n: { n: 0 },
    max_completion_tokens: { max_completion_tokens: 0 },
    'messages[0].role': { messages: [{ role: 'robot', content: 'x' }] },
  })) {
    errors(`a bad ${param}, ${mode}`, async () => {
      const error = await failure(ask(params), OpenAI.BadRequestError, { status: 400, param, type: 'invalid_request_error' });
      assert.ok(error.message.length > '400 '.length);
      assert.ok(error.requestID);
    });
  }

  errors(`what the provider refuses, ${mode}`, async () => {
    await failure(ask({ top_logprobs: 2 }), OpenAI.BadRequestError, { status: 400, param: 'top_logprobs', type: 'invalid_request_error' });
  });

  // What a wire has no room for is refused by name, and not left out.
  for (const [param, value] of Object.entries({ n: 2, seed: 7, logprobs: true, response_format: { type: 'json_object' } })) {
    errors(`${param}, which ${anthropicWire} does not have, ${mode}`, async () => {
      await failure(ask({ model: anthropicWire, [param]: value }), OpenAI.BadRequestError, { status: 400, param, code: 'unsupported_parameter' });
    });
  }

  errors(`a daily limit, ${mode}`, async () => {
    const error = await failure(ask({ messages: [user('word '.repeat(12_000))] }, limited), OpenAI.RateLimitError, { status: 429, code: 'rate_limit_exceeded' });
    assert.ok(Number(error.headers.get('retry-after')) > 0);
    // Until tomorrow there is no use in trying again.
    assert.equal(error.headers.get('x-should-retry'), 'false');
  });
}

for (const model of chatModels) {
  errors(`an embedding of a model for chat and the other way round, ${model}`, async () => {
    await failure(client.embeddings.create({ model, input: 'x' }), OpenAI.BadRequestError, { param: 'model' });
    await failure(client.chat.completions.create({ model: 'sim-embedding', messages }), OpenAI.BadRequestError, { param: 'model' });
  });
}

errors('a path that there is not', async () => {
  await failure(client.post('/no/such/path', { body: {} }), OpenAI.NotFoundError, { status: 404 });
});
