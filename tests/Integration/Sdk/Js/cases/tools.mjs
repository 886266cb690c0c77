import assert from 'node:assert/strict';
import { chatModels, client, user } from '../client.mjs';
import { askOne, assertCompletion } from '../check.mjs';
import { area, modes } from './registry.mjs';

const tools = area('tools');

const city = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const weather = { type: 'function', function: { name: 'get_weather', description: "Today's weather", parameters: city, strict: true } };
const time = { type: 'function', function: { name: 'get_time', parameters: city } };
const QUESTION = user('What is the weather like?');
const BOTH = user('Weather and time, in parallel please.');

/** The turn that the model said, as it goes back to it. */
const said = ({ content, calls }) => ({ role: 'assistant', content, tool_calls: calls });
const result = (call, content) => ({ role: 'tool', tool_call_id: call.id, content });

for (const model of chatModels) {
  for (const mode of modes) {
    tools(`a call, ${model}, ${mode}`, async () => {
      const { content, calls, finish, usage } = await askOne(mode, { model, tools: [weather, time], messages: [QUESTION] });
      assert.equal(content, null);
      assert.equal(finish, 'tool_calls');
      assert.deepEqual(calls.map((c) => c.function.name), ['get_weather']);
      assert.equal(typeof JSON.parse(calls[0].function.arguments).city, 'string');
      assert.ok(usage.completion_tokens > 0);
    });

    tools(`its result fed back, ${model}, ${mode}`, async () => {
      const asked = await askOne(mode, { model, tools: [weather], messages: [QUESTION] });
      const answered = await askOne(mode, { model, tools: [weather], messages: [QUESTION, said(asked), result(asked.calls[0], 'sunny, 21 °C')] });
      assert.match(answered.content, /sunny, 21 °C/);
      assert.equal(answered.finish, 'stop');
      assert.deepEqual(answered.calls, []);
    });

    tools(`parallel calls and their results, ${model}, ${mode}`, async () => {
      const asked = await askOne(mode, { model, tools: [weather, time], messages: [BOTH] });
      assert.deepEqual(asked.calls.map((c) => c.function.name), ['get_weather', 'get_time']);
      assert.notEqual(asked.calls[0].id, asked.calls[1].id);
      const results = [result(asked.calls[0], 'sunny'), result(asked.calls[1], [{ type: 'text', text: 'noon' }])];
      const answered = await askOne(mode, { model, tools: [weather, time], messages: [BOTH, said(asked), ...results] });
      assert.match(answered.content, /sunny[\s\S]*noon/);
    });

    tools(`parallel_tool_calls false, ${model}, ${mode}`, async () => {
      const { calls } = await askOne(mode, { model, tools: [weather, time], tool_choice: 'auto', parallel_tool_calls: false, messages: [BOTH] });
      assert.equal(calls.length, 1);
    });

    tools(`tool_choice none, ${model}, ${mode}`, async () => {
      const { content, calls } = await askOne(mode, { model, tools: [weather], tool_choice: 'none', messages: [QUESTION] });
      assert.deepEqual(calls, []);
      assert.notEqual(content, '');
    });

    tools(`tool_choice required, ${model}, ${mode}`, async () => {
      const { calls } = await askOne(mode, { model, tools: [weather], tool_choice: 'required', messages: [user('Good day.')] });
      assert.equal(calls.length, 1);
    });

    tools(`tool_choice of a function, ${model}, ${mode}`, async () => {
      const { calls } = await askOne(mode, { model, tools: [weather, time], tool_choice: { type: 'function', function: { name: 'get_time' } }, messages: [user('Good day.')] });
      assert.deepEqual(calls.map((c) => c.function.name), ['get_time']);
    });

    tools(`a function without parameters, ${model}, ${mode}`, async () => {
      const { calls } = await askOne(mode, { model, tools: [{ type: 'function', function: { name: 'ping' } }], messages: [user('ping')] });
      assert.deepEqual(calls.map((c) => [c.function.name, JSON.parse(c.function.arguments)]), [['ping', {}]]);
    });
  }

  tools(`the SDK's stream helper tells of the arguments, ${model}`, async () => {
    const stream = client.chat.completions.stream({ model, tools: [weather], messages: [QUESTION] });
    const done = [];
    stream.on('tool_calls.function.arguments.done', (call) => done.push(call));
    const completion = await stream.finalChatCompletion();
    const [call] = completion.choices[0].message.tool_calls;
    assert.deepEqual(done.map((d) => [d.index, d.name, d.arguments]), [[0, call.function.name, call.function.arguments]]);
    assert.equal(completion.choices[0].finish_reason, 'tool_calls');
    // Of a strict function.
    assert.equal(typeof call.function.parsed_arguments.city, 'string');
  });

  tools(`the SDK parses the arguments of a strict function, ${model}`, async () => {
    const completion = await client.chat.completions.parse({ model, tools: [weather], messages: [QUESTION] });
    assertCompletion(completion);
    assert.equal(typeof completion.choices[0].message.tool_calls[0].function.parsed_arguments.city, 'string');
  });

  for (const stream of [false, true]) {
    tools(`the SDK runs the tools, ${model}, ${stream ? 'streamed' : 'whole'}`, async () => {
      const cities = [];
      const runner = client.chat.completions.runTools({
        model,
        stream,
        messages: [QUESTION],
        tools: [{
          type: 'function',
          function: { name: 'get_weather', parameters: city, parse: JSON.parse, function: (args) => (cities.push(args.city), 'rain at six') },
        }],
      });
      assert.match(await runner.finalContent(), /rain at six/);
      assert.equal(cities.length, 1);
      assert.equal(typeof cities[0], 'string');
    });
  }
}
