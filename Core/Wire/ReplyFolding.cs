using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace AiAspire.Core.Wire;

/// <summary>
/// One reply in its two deliveries (OpenAI API reference, "The chat completion object" and "The chat completion chunk object"): chunks
/// folded to the completion that they spell, and a completion as chunks that spell it.
/// </summary>
public static class ReplyFolding
{
    /// <exception cref="JsonException">They are no chunks of a reply.</exception>
    public static byte[] Fold(IEnumerable<ReadOnlyMemory<byte>> chunks)
    {
        JsonObject? completion = null;
        var choices = new SortedDictionary<int, FoldedChoice>();
        foreach (var json in chunks)
        {
            var chunk = JsonNode.Parse(json.Span)?.AsObject() ?? throw new JsonException("A chunk is null.");
            completion ??= new JsonObject();
            foreach (var (name, value) in chunk)
            {
                // Whatever else a provider says with its chunks stands beside the choices of the whole as well.
                if (name is not "choices" && (value is not null || !completion.ContainsKey(name)))
                    completion[name] = value?.DeepClone();
            }

            foreach (var node in chunk["choices"]?.AsArray() ?? [])
            {
                var choice = node!.AsObject();
                var index = (int?)choice["index"] ?? 0;
                if (!choices.TryGetValue(index, out var folded))
                    choices[index] = folded = new FoldedChoice(index);
                folded.Add(choice);
            }
        }

        if (completion is null)
            throw new JsonException("There is no chunk.");
        completion["object"] = "chat.completion";
        completion["choices"] = new JsonArray([.. choices.Values.Select(c => c.ToJson())]);
        return Encoding.UTF8.GetBytes(completion.ToJsonString());
    }

    /// <returns>Role and content, how each choice ended, and last the usage, if the completion has one.</returns>
    /// <exception cref="JsonException">It is no completion.</exception>
    public static IReadOnlyList<ChatEvent> Unfold(ReadOnlyMemory<byte> json)
    {
        var completion = JsonNode.Parse(json.Span)?.AsObject() ?? throw new JsonException("The completion is null.");
        var events = new List<ChatEvent>();
        foreach (var node in completion["choices"]?.AsArray() ?? throw new JsonException("The completion has no choices."))
        {
            var choice = node!.AsObject();
            var index = (int?)choice["index"] ?? 0;
            var delta = choice["message"]?.DeepClone().AsObject() ?? [];
            // In chunks each call has its place in the list as a field.
            var place = 0;
            foreach (var call in delta["tool_calls"]?.AsArray() ?? [])
                call!.AsObject().Insert(0, "index", place++);
            var said = new JsonObject { ["index"] = index, ["delta"] = delta, ["logprobs"] = choice["logprobs"]?.DeepClone(), ["finish_reason"] = null };
            events.Add(Chunk(completion, new JsonArray(said), ChatEventKind.Chunk));
            var end = new JsonObject { ["index"] = index, ["delta"] = new JsonObject(), ["logprobs"] = null, ["finish_reason"] = choice["finish_reason"]?.DeepClone() };
            events.Add(Chunk(completion, new JsonArray(end), ChatEventKind.Chunk));
        }

        if (completion["usage"] is JsonObject usage)
            events.Add(Chunk(completion, [], ChatEventKind.UsageChunk, usage));
        return events;
    }

    private static ChatEvent Chunk(JsonObject completion, JsonArray choices, ChatEventKind kind, JsonObject? usage = null)
    {
        var chunk = new JsonObject();
        foreach (var (name, value) in completion)
        {
            if (name is not ("choices" or "usage"))
                chunk[name] = value?.DeepClone();
        }

        chunk["object"] = "chat.completion.chunk";
        chunk["choices"] = choices;
        chunk["usage"] = usage?.DeepClone();
        return new ChatEvent(kind, Encoding.UTF8.GetBytes(chunk.ToJsonString()));
    }

    private sealed class FoldedChoice(int index)
    {
        // What a whole message must have, whether or not its chunks told of it.
        private readonly JsonObject _message = new() { ["role"] = "assistant", ["content"] = null, ["refusal"] = null };
        private readonly Dictionary<string, StringBuilder> _texts = new(StringComparer.Ordinal);
        private readonly SortedDictionary<int, FoldedCall> _calls = [];
        private readonly Dictionary<string, JsonArray> _logprobs = new(StringComparer.Ordinal);
        private JsonNode? _finishReason;

        public void Add(JsonObject choice)
        {
            _finishReason = choice["finish_reason"]?.DeepClone() ?? _finishReason;
            foreach (var (name, tokens) in choice["logprobs"] as JsonObject ?? [])
            {
                if (tokens is not JsonArray list)
                    continue;
                if (!_logprobs.TryGetValue(name, out var all))
                    _logprobs[name] = all = [];
                foreach (var token in list)
                    all.Add(token?.DeepClone());
            }

            foreach (var (name, value) in choice["delta"] as JsonObject ?? [])
            {
                if (name == "tool_calls")
                    AddCalls(value as JsonArray ?? []);
                else if (name == "role")
                    _message["role"] = value?.DeepClone() ?? _message["role"]?.DeepClone();
                else if (value is JsonValue text && text.GetValueKind() == JsonValueKind.String)
                    Text(_texts, name).Append((string)text!);
                else if (value is not null || !_message.ContainsKey(name))
                    // A null is part of the message too.
                    _message[name] = value?.DeepClone();
            }
        }

        public JsonObject ToJson()
        {
            foreach (var (name, text) in _texts)
                _message[name] = text.ToString();
            if (_calls.Count > 0)
                _message["tool_calls"] = new JsonArray([.. _calls.Values.Select(c => c.ToJson())]);
            var logprobs = _logprobs.Count == 0 ? null : new JsonObject(_logprobs.Select(l => KeyValuePair.Create(l.Key, (JsonNode?)l.Value)));
            return new JsonObject { ["index"] = index, ["message"] = _message, ["logprobs"] = logprobs, ["finish_reason"] = _finishReason };
        }

        private void AddCalls(JsonArray calls)
        {
            foreach (var node in calls)
            {
                var call = node!.AsObject();
                var at = (int?)call["index"] ?? _calls.Count;
                if (!_calls.TryGetValue(at, out var folded))
                    _calls[at] = folded = new FoldedCall();
                folded.Add(call);
            }
        }
    }

    private sealed class FoldedCall
    {
        private readonly JsonObject _call = [];
        private readonly Dictionary<string, StringBuilder> _function = new(StringComparer.Ordinal);

        public void Add(JsonObject call)
        {
            foreach (var (name, value) in call)
            {
                if (name == "index" || value is null)
                    continue;
                if (value is JsonObject function && name is "function" or "custom")
                {
                    _call[name] ??= new JsonObject();
                    foreach (var (field, text) in function)
                        Text(_function, $"{name}.{field}").Append(text is JsonValue single && single.TryGetValue<string>(out var words) ? words : text?.ToJsonString());
                }
                else
                {
                    _call[name] = value.DeepClone();
                }
            }
        }

        public JsonObject ToJson()
        {
            foreach (var (path, text) in _function)
            {
                var dot = path.IndexOf('.', StringComparison.Ordinal);
                _call[path[..dot]]!.AsObject()[path[(dot + 1)..]] = text.ToString();
            }

            return _call;
        }
    }

    private static StringBuilder Text(Dictionary<string, StringBuilder> texts, string name)
        => texts.TryGetValue(name, out var text) ? text : texts[name] = new StringBuilder();
}
