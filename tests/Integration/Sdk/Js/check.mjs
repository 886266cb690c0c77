// What OpenAI's API reference promises of each object, whatever was asked.
import assert from 'node:assert/strict';
import { client } from './client.mjs';

const FINISH_REASONS = ['stop', 'length', 'tool_calls', 'content_filter'];

export function assertId(id) {
  assert.equal(typeof id, 'string');
  assert.notEqual(id, '');
}

/** Unix seconds of about now. */
export function assertRecent(created) {
  assert.ok(Number.isInteger(created), `created is ${created}`);
  assert.ok(Math.abs(Date.now() / 1000 - created) < 600, `created is ${created}`);
}

export function assertUsage(usage) {
  for (const field of ['prompt_tokens', 'completion_tokens', 'total_tokens']) assert.ok(Number.isInteger(usage?.[field]), `usage.${field} is ${usage?.[field]}`);
  assert.ok(usage.prompt_tokens > 0);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  if (usage.prompt_tokens_details) assert.ok(usage.prompt_tokens_details.cached_tokens <= usage.prompt_tokens);
  if (usage.completion_tokens_details) assert.ok(usage.completion_tokens_details.reasoning_tokens <= usage.completion_tokens);
}

export function assertCompletion(completion, choices = 1) {
  assertId(completion.id);
  assert.equal(completion.object, 'chat.completion');
  assertRecent(completion.created);
  assertId(completion.model);
  assert.deepEqual(completion.choices.map((c) => c.index), Array.from({ length: choices }, (_, i) => i));
  for (const choice of completion.choices) {
    assert.ok(FINISH_REASONS.includes(choice.finish_reason), `finish_reason is ${choice.finish_reason}`);
    assert.equal(choice.message.role, 'assistant');
    assert.ok(choice.message.content === null || typeof choice.message.content === 'string');
    assert.equal(choice.message.refusal, null);
    assert.ok('logprobs' in choice, 'no logprobs, not even null');
    assert.equal(choice.finish_reason === 'tool_calls', (choice.message.tool_calls ?? []).length > 0);
    for (const call of choice.message.tool_calls ?? []) assertCall(call);
  }
  assertUsage(completion.usage);
}

export function assertCall(call) {
  assertId(call.id);
  assert.equal(call.type, 'function');
  assertId(call.function.name);
  JSON.parse(call.function.arguments);
}

/**
 * Asks for a stream, holds each chunk to the reference and folds them.
 * @returns {Promise<{chunks: object[], usage: object | undefined, choices: {content: string | null, calls: object[], logprobs: object[], finish: string}[]}>}
 */
export async function streamed(params, options) {
  const chunks = [];
  for await (const chunk of await client.chat.completions.create({ ...params, stream: true }, options)) chunks.push(chunk);
  return folded(chunks, params);
}

export function folded(chunks, { n = 1, stream_options } = {}) {
  const includeUsage = stream_options?.include_usage === true;
  const choices = Array.from({ length: n }, () => ({ content: null, calls: [], logprobs: [], finish: null, role: null }));
  assert.ok(chunks.length > 0);
  const [{ id, created, model }] = chunks;
  assertId(id);
  assertRecent(created);
  assertId(model);
  for (const [at, chunk] of chunks.entries()) {
    assert.equal(chunk.object, 'chat.completion.chunk');
    assert.deepEqual({ id: chunk.id, created: chunk.created, model: chunk.model }, { id, created, model });
    assertUsageOf(chunk, includeUsage, at === chunks.length - 1);
    for (const choice of chunk.choices) fold(choices, choice);
  }
  for (const choice of choices) {
    assert.equal(choice.role, 'assistant');
    assert.ok(FINISH_REASONS.includes(choice.finish), `finish_reason is ${choice.finish}`);
    assert.equal(choice.finish === 'tool_calls', choice.calls.length > 0);
    choice.calls.forEach(assertCall);
    assert.equal(new Set(choice.calls.map((c) => c.id)).size, choice.calls.length);
  }
  return { chunks, choices, usage: chunks.at(-1).usage ?? undefined };
}

/** "An additional chunk … the usage field on this chunk shows … and the choices field will always be an empty array. All other chunks will also include a usage field, but with a null value." */
function assertUsageOf(chunk, includeUsage, isLast) {
  if (!includeUsage) {
    assert.ok(!('usage' in chunk), 'usage, which nobody asked for');
    assert.notEqual(chunk.choices.length, 0);
  } else if (isLast) {
    assert.deepEqual(chunk.choices, []);
    assertUsage(chunk.usage);
  } else {
    assert.equal(chunk.usage, null);
    assert.notEqual(chunk.choices.length, 0);
  }
}

function fold(choices, { index, delta, logprobs, finish_reason }) {
  const choice = choices[index];
  assert.ok(choice, `choice ${index}`);
  assert.equal(choice.finish, null, 'more of a choice that had finished');
  if (delta.role) {
    assert.equal(choice.role, null, 'the role twice');
    choice.role = delta.role;
  }
  assert.notEqual(choice.role, null, 'a choice that does not begin with its role');
  if (typeof delta.content === 'string' && !(delta.content === '' && choice.content === null)) choice.content = (choice.content ?? '') + delta.content;
  for (const part of delta.tool_calls ?? []) {
    assert.ok(Number.isInteger(part.index), 'a tool call without its index');
    if (choice.calls.length === part.index) {
      // Its first part bears what it is; the arguments follow, here or in further chunks.
      assertId(part.id);
      assertId(part.function.name);
      choice.calls.push({ id: part.id, type: part.type, function: { name: part.function.name, arguments: '' } });
    }
    assert.ok(part.index < choice.calls.length, `tool call ${part.index} after ${choice.calls.length}`);
    choice.calls[part.index].function.arguments += part.function?.arguments ?? '';
  }
  choice.logprobs.push(...(logprobs?.content ?? []));
  assert.notEqual(finish_reason, undefined, 'no finish_reason, not even null');
  choice.finish = finish_reason;
}

/**
 * The same question, whole or streamed, to the same form.
 * @returns {Promise<{choices: {content: string | null, calls: object[], logprobs: object[], finish: string}[], usage: object}>}
 */
export async function ask(mode, params, options) {
  if (mode === 'streamed') return streamed({ ...params, stream_options: { include_usage: true } }, options);
  const completion = await client.chat.completions.create(params, options);
  assertCompletion(completion, params.n ?? 1);
  return {
    usage: completion.usage,
    choices: completion.choices.map((c) => ({
      content: c.message.content,
      calls: c.message.tool_calls ?? [],
      logprobs: c.logprobs?.content ?? [],
      finish: c.finish_reason,
    })),
  };
}

/** The first of the answers, and the usage. */
export async function askOne(mode, params, options) {
  const { choices, usage } = await ask(mode, params, options);
  return { ...choices[0], usage };
}

/** @returns {Promise<Error>} what the promise was rejected with. */
export async function failure(promise, type, expected = {}) {
  const error = await promise.then(
    () => assert.fail(`succeeded, instead of ${type.name}`),
    (e) => e,
  );
  if (!(error instanceof type)) throw error;
  for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, `${name} of ${error.message}`);
  return error;
}
