import assert from 'node:assert/strict';
import { chatModels, client, openAiWire, user } from '../client.mjs';
import { askOne, assertCompletion } from '../check.mjs';
import { area, modes } from './registry.mjs';

const structured = area('structured output');

const response_format = {
  type: 'json_schema',
  json_schema: {
    name: 'ticket',
    strict: true,
    schema: {
      type: 'object',
      properties: {
        subject: { type: 'string' },
        priority: { type: 'integer', minimum: 1, maximum: 5 },
        kind: { enum: ['fault', 'question'] },
        tags: { type: 'array', items: { type: 'string' } },
        place: { anyOf: [{ $ref: '#/$defs/place' }, { type: 'null' }] },
      },
      required: ['subject', 'priority', 'kind', 'tags', 'place'],
      additionalProperties: false,
      $defs: { place: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false } },
    },
  },
};

function assertTicket(ticket) {
  assert.deepEqual(Object.keys(ticket).sort(), ['kind', 'place', 'priority', 'subject', 'tags']);
  assert.equal(typeof ticket.subject, 'string');
  assert.ok(Number.isInteger(ticket.priority) && ticket.priority >= 1 && ticket.priority <= 5);
  assert.ok(['fault', 'question'].includes(ticket.kind));
  assert.ok(ticket.tags.every((t) => typeof t === 'string'));
  assert.ok(ticket.place === null || typeof ticket.place.city === 'string');
}

for (const model of chatModels) {
  const messages = [user('Make a ticket of it: my bell broke.')];

  for (const mode of modes) {
    structured(`json_schema, ${model}, ${mode}`, async () => {
      const { content, finish } = await askOne(mode, { model, messages, response_format });
      assertTicket(JSON.parse(content));
      assert.equal(finish, 'stop');
    });

    structured(`response_format text, ${model}, ${mode}`, async () => {
      const { content } = await askOne(mode, { model, messages: [user('say exactly: plain')], response_format: { type: 'text' } });
      assert.equal(content, 'plain');
    });
  }

  structured(`the SDK parses, ${model}`, async () => {
    const completion = await client.chat.completions.parse({ model, messages, response_format });
    assertCompletion(completion);
    assertTicket(completion.choices[0].message.parsed);
  });

  structured(`the SDK's stream helper parses, ${model}`, async () => {
    const completion = await client.chat.completions.stream({ model, messages, response_format }).finalChatCompletion();
    assertTicket(completion.choices[0].message.parsed);
  });
}

for (const mode of modes) {
  structured(`json_object, ${openAiWire}, ${mode}`, async () => {
    const { content } = await askOne(mode, { model: openAiWire, messages: [user('Answer as JSON.')], response_format: { type: 'json_object' } });
    assert.equal(typeof JSON.parse(content), 'object');
  });
}
